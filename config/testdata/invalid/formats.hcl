source "git" "shop" {
  url      = "shop"
  key_file = ""
  max_size = "64 bananas"
  poll     = "1x"
  tags     = "v[0-9"
  auth     = "baerer"
  ref      = "master"
}
source "git" "more" {
  url      = "https://git.example.com/shop.git"
  poll     = "-5s"
  max_size = 1.5
  auth     = "kerberos"
  labels = {
    a = "x"
  }
}
sync "shop" { source = source.git.shop }
sync "more" { source = source.git.more }
