source "git" "shop" { url = "https://git.example.com/shop.git" }
sync "shop" { source = source.git.shop }

image_policy "everything" { policy = "semver:^1" }
image_policy "nothing" {
  policy     = " "
  workloads  = []
  containers = []
  images     = []
}
image_policy "wrong" {
  policy     = ["semver:^1"]
  sync       = sync.shpo
  workloads  = ["deployment/web", "shop:Deployment/web", "Deployment/web", "web", "shop:deployment/w?b", "a:b:*", "shop:*", ""]
  containers = ["web*", "we b"]
  images     = ["nginx", "quay.io/acme/*:1.2"]
  platforms  = ["amd64", "linux/x86_64", "linux/aarch64", "linux/arm64/v8", "Linux/amd64", "linxu/amd64", "linux/amd46", "plan9/sparc64"]
  min_age    = "-1h"
  digest     = "pinned"
  markers    = ["app tag", "flux-system:app", ":app", "other", "a:b:c"]
  automatic  = true
}
image_policy "other" {
  images  = ["quay.io/acme/app"]
  policy  = "semver:^1"
  markers = ["wrong"]
}
image_policy "third" {
  images   = ["quay.io/acme/app"]
  policy   = "semver:^1"
  markers  = ["flux-system:app"]
  min_age  = "3d"
  policies = sync.other
}
image_policy "missing" { sync = source.git.shop }
image_policy "text" {
  policy = image_policy.other
  sync   = "shop"
}
