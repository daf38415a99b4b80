renderer "kustomize" "default" {
  enable_helm = "maybe"
  timeot      = "1m"
}
renderer "jsonnet" "x" {}
source "git" "shop" { url = "https://git.example.com/shop.git" }
sync "a" {
  source   = source.git.shop
  renderer = renderer.kustomize.defualt
}
sync "b" {
  source   = source.git.shop
  renderer = "kustomize"
}
sync "c" {
  source   = source.git.shop
  renderer = source.git.shop
}
