source "git" "shop" {
  ulr      = "https://git.example.com/shop.git"
  url      = "https://git.example.com/shop.git"
  brnch    = "main"
  intervall = "1m"
  colour   = "blue"
  ssh = { key_secret = "x" }
  poll { }
  shs { key_secret = "x" }
  ssh {
    key_sekret = "x"
    key_secret = "y"
  }
}
sync "shop" {
  source    = source.git.shop
  dependson = []
  prune {
    maximum = 3
  }
  wiat {}
}
