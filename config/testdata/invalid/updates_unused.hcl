renderer "kustomize" "default" {}
images { scan = "none" }
source "git" "shop" { url = "https://git.example.com/shop.git" }
sync "shop" { source = source.git.shop }
sync "ops" { source = source.git.shop }
image_automation "ops" { sync = sync.ops }
image_policy "shop" {
  sync   = sync.shop
  policy = "semver:^1"
}
image_policy "by-hand" {
  sync      = sync.shop
  policy    = "semver:^1"
  automated = false
}
image_policy "any" {
  workloads = ["*"]
  policy    = "semver:^1"
}
