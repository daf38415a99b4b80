source "git" "shop" { url = "https://git.example.com/shop.git" }
sync "a" {
  source     = source.git.shop
  depends_on = [release.b]
}
release "b" {
  chart { repository = "oci://registry.example.com/x" }
  depends_on = [release.c]
}
release "c" {
  chart { repository = "oci://registry.example.com/x" }
  depends_on = [sync.a]
}
release "d" {
  chart { repository = "oci://registry.example.com/x" }
  depends_on = [release.e]
}
release "e" {
  chart { repository = "oci://registry.example.com/x" }
  depends_on = [release.d, release.e]
}
release "several" {
  for_each = ["x", "y"]
  chart { repository = "oci://registry.example.com/x" }
  depends_on = [release.sevral, release.several["z"], release.several]
}
