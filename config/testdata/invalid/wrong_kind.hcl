source "git" "shop" { url = "https://git.example.com/shop.git" }
applier "kubernetes" "prod" {}
sync "a" { source = applier.kubernetes.prod }
sync "b" {
  source     = source.git.shop
  applier    = source.git.shop
  depends_on = [source.git.shop]
}
