source "git" "shop" {
  url = "https://git.example.com/shop.git"
}
renderer "kustomize" "default" { timeout = "2m" }
renderer "kustomize" "each" {
  for_each    = ["a", "b"]
  enable_helm = each.key == "a"
}
sync "shop" {
  source   = source.git.shop
  renderer = renderer.kustomize.default
  marker "tag" {}
}
sync "ops" {
  source   = source.git.shop
  renderer = renderer.kustomize.each["b"]
  marker "annotation" {}
}
sync "region" {
  for_each = ["eu", "us"]
  source   = source.git.shop
  dynamic "marker" {
    for_each = each.key == "eu" ? ["annotation"] : ["tag"]
    labels   = [marker.value]
    content { name = "example.com-${each.key}" }
  }
}

image_automation "shop" {
  sync = sync.shop
}
image_automation "region" {
  for_each       = ["eu", "us"]
  sync           = sync.region[each.key]
  interval       = "1m"
  soak           = "1h"
  suspend        = true
  suspend_reason = "freeze until ${each.key} is moved"
  branch         = "refs/heads/updates/${each.key}"
  message        = <<-EOT
    Update {{ len .Images }} images

    {{ range .Images }}{{ . }}
    {{ end }}
  EOT
  health {
    revert = true
  }
}

image_policy "minimal" {
  policy    = "semver:^1"
  workloads = ["*"]
}
image_policy "full" {
  policy          = "numeric:^main-(\\d+)$"
  sync            = sync.shop
  workloads       = ["shop:deployment/web", "shop:*", "*:helmrelease/*", "shop:deployment/web"]
  containers      = ["web", "chart-image", "side*"]
  images          = ["quay.io/acme/*"]
  platforms       = ["linux/amd64", "linux/arm/v7", "linux/arm64/v8", "plan9/386"]
  min_age         = "72h"
  digest          = "pin"
  allow_downgrade = true
  automated       = false
  markers         = ["app", "flux-system:app"]
}
image_policy "app" {
  for_each = { a = "^1", b = "^2" }
  policy   = "semver:${each.value}"
  images   = ["quay.io/acme/${each.key}"]
  markers  = ["app-${each.key}"]
}

image_kind "rollout" {
  group           = "argoproj.io"
  kind            = "Rollout"
  containers      = ["spec.template.spec.containers", "spec.template.spec.containers"]
  init_containers = ["spec.template.spec.initContainers"]
}
image_kind "core" {
  kind   = "Widget"
  images = { main = "spec.image", side = "spec.side.image" }
}

release "ghost" {
  namespace = "demo"
  chart { repository = "oci://registry.example.com/charts/ghost" }
  values_from { config_map = "defaults" }
  values_from {
    source = source.git.shop
    path   = "values/base.yaml"
  }
  values_from {
    source = source.git.shop
    path   = "values/prod.yaml"
  }
}
image_automation "ghost" { release = release.ghost }

sluice {
  repository {
    source = source.git.shop
    path   = "./clusters/prod/"
  }
}
release "inline" {
  chart { repository = "oci://registry.example.com/charts/ghost" }
  values = { image = "ghost:5" }
}
image_automation "inline" { release = release.inline }
