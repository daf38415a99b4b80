source "git" "shop" { url = "https://git.example.com/shop.git" }
sync "a" {
  source = source.git.shop
  marker "tag" {}
}
sync "b" {
  source = source.git.shop
  marker "tag" { name = "flux-sync" }
}
sync "c" {
  source = source.git.shop
  marker "tag" { name = "my tag" }
  marker "annotation" {}
}
sync "d" {
  source = source.git.shop
  marker "anotation" {}
}
sync "e" {
  source = source.git.shop
  marker {}
}
sync "f" {
  source = source.git.shop
  marker "annotation" { name = "example com/x" }
}
sync "g" {
  source = source.git.shop
  marker "annotation" {
    name  = "example.com/-x"
    value = "y"
  }
}
sync "h" {
  source = source.git.shop
  marker "tag" { name = "refs/tags/x" }
}
sync "i" {
  source = source.git.shop
  marker "tag" { name = "a..b" }
}
sync "j" {
  source = source.git.shop
  marker "tag" { name = "a/.b" }
}
sync "k" {
  source = source.git.shop
  marker "tag" { name = "" }
}
sync "l" {
  source = source.git.shop
  marker "annotation" { name = "sluice.dev/revision" }
}
