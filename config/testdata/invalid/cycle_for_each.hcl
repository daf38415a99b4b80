source "git" "shop" { url = "https://git.example.com/shop.git" }
sync "app" {
  for_each   = { a = "b", b = "a" }
  source     = source.git.shop
  depends_on = [sync.app[each.value]]
}
sync "all" {
  for_each   = toset(["x"])
  source     = source.git.shop
  depends_on = [sync.all]
}
