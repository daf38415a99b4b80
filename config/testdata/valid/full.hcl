sluice {
  data_dir   = "/var/lib/sluice"
  plugin_dir = "plugins"
  log_level  = "debug"
  api { listen = "unix:///run/sluice/api.sock" }
}

plugin "git" {
  path      = "bin/sluice-plugin-git"
  env       = { HTTPS_PROXY = "http://proxy.internal:3128", TOKEN = var.token }
  idle_stop = "10m"
}

variable "cluster" { default = "prod" }
variable "regions" {
  type        = map(object({ branch = optional(string, "main"), depth = number }))
  description = "One source and one sync each."
  default     = { "eu-west-1" = { depth = 1 }, "us-east-1" = { branch = "us", depth = "2" } }
}
variable "token" {
  sensitive = true
  default   = "s3cr3t-token"
}
variable "replicas" {
  default = 3
  validation {
    condition     = var.replicas > 0
    error_message = "At least one replica."
  }
}

locals {
  base  = "https://git.example.com/${local.group}"
  group = lower("ACME")
}

registry_credential "ecr" "prod" {
  match = ["123456789012.dkr.ecr.*.amazonaws.com"]
}

applier "kubernetes" "prod" {
  context           = var.cluster
  default_namespace = "default"
  namespaces        = ["shop", "ops"]
}

source "git" "platform" {
  url      = "git@git.example.com:acme/platform.git"
  branch   = var.cluster
  interval = "1m"
  depth    = var.replicas
  key_file = "keys/id"
  max_size = "64MiB"
  ssh { key_secret = "flux-git-deploy" }
  write {
    author  = "Sluice <sluice@example.com>"
    ci_skip = true
  }
  dynamic "header" {
    for_each = { "X-Trace" = "on", "X-Zone" = local.group }
    labels   = [header.key]
    content {
      value = header.value
    }
  }
}

source "git" "region" {
  for_each = var.regions
  url      = "${local.base}/${each.key}.git"
  branch   = each.value.branch
  depth    = each.value.depth
  token    = var.token
  values   = { persistence = { enabled = false }, none = null, list = [1, "two", 2.5] }
}

sync "platform" {
  source = source.git.platform
  paths  = ["namespaces", "./workloads/"]
}

sync "region" {
  for_each   = var.regions
  source     = source.git.region[each.key]
  applier    = applier.kubernetes.prod
  depends_on = [sync.platform]
  interval   = "5m"
  prune {
    max   = "20%"
    kinds = ["Namespace"]
  }
  wait { timeout = "5m" }
}

sync "after" {
  source     = source.git.platform
  depends_on = [sync.region, sync.region["eu-west-1"]]
  suspend    = true
  prune { enabled = false }
}
