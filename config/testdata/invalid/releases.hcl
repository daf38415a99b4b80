source "git" "shop" { url = "https://git.example.com/shop.git" }
variable "token" {
  sensitive = true
  default   = "s3cret-token"
}

# Names.
release "My_Shop" { 
  chart { repository = "oci://registry.example.com/x" }
}
release "long" {
  name = "a-name-that-is-longer-than-helm-makes-names-of-objects-of"
  chart { repository = "oci://registry.example.com/x" }
}
release "one" {
  name      = "same"
  namespace = "Demo"
  chart { repository = "oci://registry.example.com/x" }
}
release "two" {
  name = "same"
  chart { repository = "oci://registry.example.com/x" }
}
release "three" {
  for_each = ["a", "B c"]
  chart { repository = "oci://registry.example.com/x" }
}

# Charts.
release "c1" {}
release "c2" {
  chart {}
}
release "c3" {
  chart {
    source     = source.git.shop
    repository = "https://charts.example.com"
  }
}
release "c4" {
  chart {
    source  = source.git.shpo
    path    = "../charts"
    version = "1.2.3"
  }
}
release "c5" {
  chart {
    repository = "stable"
    name       = "stable/redis"
    version    = 1.10
    path       = "x"
  }
}
release "c6" {
  chart { repository = "https://charts.example.com" }
}
release "c7" {
  chart { repository = "oci://registry.example.com:5000/charts/web:1.2.3" }
}
release "c8" {
  chart {
    repository = "https://ann:hunter22@charts.example.com"
    name       = "redis"
    username   = "ann"
    ca         = "ca.pem"
    cert       = "x"
    keyring    = "keys.asc"
  }
}
release "c9" {
  chart {
    repository = "http://charts.example.com"
    name       = "stable/redis"
    username   = "ann"
    password   = var.token
    cert       = "no"
    key        = "no"
  }
}
release "c10" {
  chart {
    repository = "https://charts.example.com/${var.token}"
    name       = "redis"
  }
  chart {}
  chrt {}
}
release "c11" {
  chart { repository = "git@github.com:acme/charts" }
}

# Values.
release "v1" {
  chart { repository = "oci://registry.example.com/x" }
  values = "a: 1"
  values_from {}
  values_from {
    config_map = "Defaults"
    secret     = "x"
  }
  values_from {
    config_map = "Defaults"
    key        = "a b"
    namespace  = "-"
    sha256     = "x"
  }
  values_from {
    secret = secret("Oh no")
    path   = "x"
  }
}
release "v2" {
  chart { repository = "oci://registry.example.com/x" }
  values = {
    a = source.git.shop
    b = [1 / 0, 1e999]
  }
  values_from { chart_file = "../values.yaml" }
  values_from { source = source.git.shop }
  values_from {
    source = source.git.shop
    path   = "/values.yaml"
  }
  values_from {
    source = source.git.shop
    path   = "."
  }
  values_from {
    url    = "ftp://x.example.com"
    sha256 = "abc"
  }
  values_from { url = "https://x.example.com/?token=${var.token}" }
  values_from {
    chart_file = "values-prod.yaml"
    key        = "x"
  }
}
release "v3" {
  chart { repository = "oci://registry.example.com/x" }
  values = { a = nope }
}

# The rest.
release "r1" {
  chart { repository = "oci://registry.example.com/x" }
  crds          = "Create"
  on_remove     = "delete"
  on_move       = "move"
  wait          = false
  wait_mode     = "watch"
  wait_for_jobs = true
  max_history   = 1.5
  timeout       = "10"
  interval      = "10ms"
  depends_on    = [source.git.shop, "c1"]
  on_failure {
    retries   = -1
    remediate = "roll back"
    retry     = true
  }
  test {
    names   = []
    timeout = "no"
  }
  drift {
    mode = "ignore"
    ignore {}
    ignore {
      kind  = "deployment"
      paths = ["spec.replicas", "/a~b", "/"]
    }
  }
  uninstall { keep_histroy = true }
}
release "c99" {
  chart {
    repository = "https://charts.example.com"
    name       = "web"
    version    = "^^1"
  }
}
