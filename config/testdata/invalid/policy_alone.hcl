source "git" "shop" { url = "https://git.example.com/shop.git" }
sync "shop" { source = source.git.shop }
image_policy "any" {
  workloads = ["*"]
  policy    = "semver:^1"
}
