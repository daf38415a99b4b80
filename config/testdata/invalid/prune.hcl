source "git" "shop" { url = "https://git.example.com/shop.git" }
sync "a" {
  source = source.git.shop
  prune { max = "120%" }
}
sync "b" {
  source = source.git.shop
  prune { max = "few" }
}
sync "c" {
  source = source.git.shop
  prune { max = -1 }
}
sync "d" {
  source = source.git.shop
  prune {
    max   = 2.5
    kinds = ["Namespace", "namespaces", "Foo.example.com", "Namepsace"]
  }
}
