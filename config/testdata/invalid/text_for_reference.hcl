source "git" "shop" { url = "https://git.example.com/shop.git" }
source "git" "ops" { url = "https://git.example.com/ops.git" }
sync "a" { source = "shop" }
sync "b" { source = "source.git.shop" }
sync "c" { source = "git.shpo" }
sync "d" {
  source     = source.git.ops
  depends_on = ["a", sync.b, 5]
}
sync "e" {
  source     = source.git.ops
  depends_on = sync.a
}
sync "f" { source = source.git }
sync "g" { source = 3 }
sync "h" { source = "" }
