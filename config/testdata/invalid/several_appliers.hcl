applier "kubernetes" "a" {}
applier "kubernetes" "b" {}
applier "kubernetes" "c" {}
source "git" "shop" { url = "https://git.example.com/shop.git" }
sync "shop" { source = source.git.shop }
sync "named" {
  source  = source.git.shop
  applier = applier.kubernetes.a
}
