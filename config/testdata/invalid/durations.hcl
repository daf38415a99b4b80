source "git" "shop" {
  url      = "https://git.example.com/shop.git"
  interval = "10ms"
  timeout  = "soon"
}
sync "shop" {
  source   = source.git.shop
  interval = 5
  timeout  = "-1m"
  wait { timeout = "0s" }
}
