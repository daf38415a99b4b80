# Releases of Helm charts, and how they are managed.

variable "password" {
  sensitive = true
  default   = "from-variable"
}
source "git" "platform" { url = "https://git.example.com/platform.git" }
applier "kubernetes" "prod" {
  kubeconfig        = "prod.kubeconfig"
  context           = "prod"
  namespaces        = ["demo", "shop"]
  default_namespace = "demo"
}
applier "kubernetes" "region" {
  for_each = { eu = "eu-1", us = "us-1" }
  context  = each.value
}
applier "kubernetes" "bare" {}

helm "helm" "prod" {
  applier                 = applier.kubernetes.prod
  resources               = false
  uninstall_on_crd_delete = true
  cross_namespace         = true
  local_urls              = true
  context                 = "admin@prod"
  storage                 = "configmap"
  default_ref             = "release/1.x"
  charts                  = source.git.platform
  charts_path             = "flux/charts/"
}
helm "helm" "region" {
  for_each = toset(["eu"])
  applier  = applier.kubernetes.region[each.key]
}

release "ghost" {
  applier = applier.kubernetes.prod
  chart {
    source            = source.git.platform
    path              = "./charts/ghost/"
    keep_dependencies = true
    ignore_lock       = true
  }
  name             = "ghost.blog"
  namespace        = "demo"
  create_namespace = true
  values = {
    replicas = 3
    exact    = [0.1, 12345678901234567890123, 1e-7, 1e300, -0.5, 1.10]
    nothing  = null
    image    = { repository = "ghost", tag = "5.0" }
    mail     = { user = "ghost", password = var.password, empty = {}, list = [] }
    computed = merge({ a = 1 }, { b = "x<y" })
  }
  values_from { config_map = "defaults" }
  values_from {
    secret    = "overrides"
    key       = "ghost.yaml"
    namespace = "shared"
    optional  = true
  }
  values_from { chart_file = "values-prod.yaml" }
  values_from {
    source = source.git.platform
    path   = "values/ghost.yaml"
  }
  values_from {
    url    = "https://config.example.com/ghost.yaml?team=blog"
    sha256 = "sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"
  }
  interval       = "1m"
  timeout        = "10m"
  suspend        = true
  suspend_reason = "moving house"
  depends_on     = [sync.base, release.plain, release.each]
  wait_mode      = "poll"
  wait_for_jobs  = true
  max_history    = 3
  crds           = "replace"
  force          = true
  disable_hooks  = true
  take_ownership = true
  reuse_values   = true
  skip_schema    = true
  skip_openapi   = true
  adopt          = true
  on_remove      = "keep"
  on_move        = "reinstall"
  on_failure {
    retries   = 5
    remediate = "uninstall"
    timeout   = "2m"
  }
  test {
    timeout         = "1m"
    ignore_failures = true
    cleanup         = false
    names           = ["ghost-test"]
  }
  drift {
    mode = "warn"
    ignore {
      kind      = "Deployment"
      name      = "ghost"
      namespace = "demo"
      paths     = ["/spec/replicas", "/metadata/annotations/example.com~1x"]
    }
    ignore { kind = "HorizontalPodAutoscaler" }
  }
  uninstall {
    keep_history  = true
    wait          = true
    timeout       = "3m"
    disable_hooks = true
  }
}

release "plain" {
  applier = applier.kubernetes.bare
  chart {
    repository = "https://charts.example.com/stable/"
    name       = "redis"
    version    = "^1.2"
    username   = "ann"
    password   = "from-literal"
  }
  wait = false
  on_failure {}
  test {}
}

release "each" {
  for_each = { eu = 1, us = 2 }
  applier  = applier.kubernetes.region[each.key]
  chart { repository = "oci://registry.example.com:5000/charts/web" }
  values     = secret({ zone = each.key, n = each.value, on = true })
  depends_on = [sync.base]
}

sync "base" {
  source     = source.git.platform
  applier    = applier.kubernetes.prod
  depends_on = [release.plain]
}

mirror "https://charts.example.com/" {
  to       = "https://mirror.internal/charts/"
  username = "robot"
  password = "from-mirror"
}
mirror "git@github.com:fluxcd" { to = "https://git.internal/fluxcd" }
mirror "oci://ghcr.io" { to = "oci://registry.internal:5000/ghcr" }
