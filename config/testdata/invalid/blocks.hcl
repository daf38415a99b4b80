source "git" "shop" {
  url = "https://git.example.com/shop.git"
  ssh { key_secret = "a" }
  ssh { key_secret = "b" }
  mirror { to = "a" }
  mirror { to = "b" }
  mirror { to = "c" }
  header {
    value = "no label"
  }
  header "a" { value = "1" }
  header "a" { value = "2" }
  write "x" {}
}
sync "shop" {
  source = source.git.shop
  prune {}
  prune {}
}
