source "git" "shop" {
  url = "https://git.example.com/shop/deploy.git"
}

sync "shop" {
  source = source.git.shop
}
