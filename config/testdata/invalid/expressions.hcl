locals {
  object = { a = 1 }
  list   = ["x"]
  empty  = null
}
source "git" "shop" {
  url    = "https://git.example.com/shop.git"
  branch = local.object.b
  depth  = local.list[3]
  labels = { inf = "x", bad = 1 / 0 }
  values = ["a" + 1, local.empty.x, local.list ? 1 : 2, { for x in 5 : x => x }, "${[1]}"]
}
source "git" "infinite" {
  url   = "https://git.example.com/shop.git"
  depth = 1 / 0
}
sync "infinite" { source = source.git.infinite }
sync "shop" { source = source.git.shop }
