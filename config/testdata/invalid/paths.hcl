source "git" "shop" { url = "https://git.example.com/shop.git" }
sync "a" {
  source = source.git.shop
  paths  = ["/etc", "../other", "a/../../b", "", "a\\b", "fine"]
}
sync "b" {
  source = source.git.shop
  paths  = []
}
