locals {
  a    = local.b
  b    = "${local.c}!"
  c    = [local.a]
  self = local.self
  fine = "x"
}
source "git" "one" {
  for_each = toset([for s in [source.git.two] : "x"])
  url      = "https://git.example.com/shop.git"
}
source "git" "two" {
  for_each = toset([for s in [source.git.one] : "x"])
  url      = "https://git.example.com/shop.git"
}
source "git" "shop" { url = "https://git.example.com/${local.fine}.git" }
sync "a" {
  source     = source.git.shop
  depends_on = [sync.b]
}
sync "b" {
  source     = source.git.shop
  depends_on = [sync.c, sync.d]
}
sync "c" {
  source     = source.git.shop
  depends_on = [sync.a]
}
sync "d" {
  source     = source.git.shop
  depends_on = [sync.d]
}
