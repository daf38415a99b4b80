source "git" "shop" {
  url = 
}

sync "shop" {
  source = source.git.shop
  paths = ["a", "b"
}
