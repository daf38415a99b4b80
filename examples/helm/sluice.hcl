# Helm releases: declared here, and as HelmReleases of Flux v1 in git. Charts come
# from a git repository and from a chart repository. The cluster is the current
# kubeconfig context, or the one that sluice runs in.
variable "git" {
  default     = "https://git.example.com/shop"
  description = "Where the repositories of https://git.example.com/shop are."
}

variable "charts" {
  default     = "https://charts.example.com/stable"
  description = "Where the charts of https://charts.example.com/stable are."
}

variable "charts_ca" {
  default     = ""
  description = "Certificate (PEM) that the chart repository's is checked with; empty: the system's."
}

variable "data_dir" {
  default     = "data"
  description = "Where the daemon keeps its state."
}

sluice {
  data_dir = var.data_dir
}

# Mirrors stand in wherever a URL is named: by a source, a chart, the dependency
# of a chart, or a HelmRelease.
mirror "https://git.example.com/shop" { to = var.git }
mirror "https://charts.example.com/stable" {
  to = var.charts
  ca = var.charts_ca
}

source "git" "shop" {
  url      = "https://git.example.com/shop/helm.git"
  branch   = "main"
  interval = "30s"
}

applier "kubernetes" "cluster" {}

# Follows the HelmReleases of the cluster, too.
helm "helm" "cluster" {}

# The namespace, a ConfigMap with values, and HelmReleases as users of Flux v1
# keep them.
sync "shop" {
  source = source.git.shop
  paths  = ["base", "releases"]
}

# A chart of the repository. Of the values, later ones are stronger, and `values`
# is the strongest.
release "web" {
  namespace = "shop"
  chart {
    source = source.git.shop
    path   = "charts/web"
  }
  values_from {
    source = source.git.shop
    path   = "values/web.yaml"
  }
  values_from {
    config_map = "web-region"
    optional   = true
  }
  values = {
    replicas = 2
  }
  on_failure { retries = 2 }
  depends_on = [sync.shop]
}

# A chart of a repository: the newest 1.x.
release "cache" {
  namespace = "shop"
  chart {
    repository = "https://charts.example.com/stable"
    name       = "cache"
    version    = "^1.0"
  }
  depends_on = [release.web]
}
