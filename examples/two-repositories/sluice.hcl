# Two repositories, one cluster, one daemon. The platform team's repository
# makes the namespaces; the shop waits for it and is pruned freely. New images
# of the shop are written back to its repository.
variable "git" {
  default     = "https://git.example.com"
  description = "Base URL of the git server."
}

variable "registry" {
  default     = "https://registry.example.com"
  description = "URL at which registry.example.com is reached from here."
}

variable "data_dir" {
  default = "/var/lib/sluice"
}

sluice {
  data_dir = var.data_dir
}

locals {
  # One source for each team: name => branch.
  repositories = {
    platform = "main"
    shop     = "main"
  }
}

source "git" "team" {
  for_each = local.repositories
  url      = "${var.git}/${each.key}.git"
  branch   = each.value
  interval = "5s"

  write { author = "Sluice <sluice@example.com>" }
}

sync "platform" {
  source = source.git.team["platform"]
  paths  = ["namespaces", "workloads"]
}

sync "shop" {
  source     = source.git.team["shop"]
  depends_on = [sync.platform]
  interval   = "5m"

  prune { max = "50%" }
  wait { timeout = "2m" }
}

# A Helm release, of a chart in the platform team's repository.
release "board" {
  namespace  = "shop"
  depends_on = [sync.platform]

  chart {
    source = source.git.team["platform"]
    path   = "charts/board"
  }
  values = { title = "The shop", replicas = 2 }
}

# Which workloads, and which tags, their annotations say: see shop/web.yaml.
image_automation "shop" {
  sync = sync.shop
  health { revert = true }
}

images { interval = "5s" }

registry "registry.example.com" {
  endpoint = var.registry
  insecure = startswith(var.registry, "http://")
}
