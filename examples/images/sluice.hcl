# Which images run, which newer ones are written back to git, and how the
# registries are reached: pull secrets of the cluster first, then the blocks below.
variable "repository" {
  default     = "https://git.example.com/storefront/deploy.git"
  description = "URL of the repository with the manifests."
}

variable "mirror" {
  default     = "https://registry.example.com"
  description = "URL at which registry.example.com is reached from here."
}

variable "docker_config" {
  default     = "/etc/sluice/docker/config.json"
  description = "What docker login wrote for registry.example.com."
}

variable "data_dir" {
  default = "/var/lib/sluice"
}

sluice {
  data_dir = var.data_dir
}

# Commits are pushed to the branch that is read, so the key may write to it.
source "git" "storefront" {
  url = var.repository

  write {
    author  = "Sluice <sluice@storefront.example.com>"
    ci_skip = true
  }
}

sync "storefront" {
  source = source.git.storefront
}

# New images of what is automated are written to git, half an hour after they
# were seen first. One whose rollout fails is taken back, and not tried again.
image_automation "storefront" {
  sync = sync.storefront
  soak = "30m"

  health {
    timeout = "5m"
    revert  = true
  }
}

# Which tags a container may have, where no annotation says it: builds of main
# for reports, when somebody releases them.
image_policy "builds" {
  images    = ["registry.example.com/storefront/report"]
  policy    = "glob:main-*"
  automated = false
}

# Repositories of workloads with image automation are looked at by themselves,
# quiet ones less and less often. Others only when somebody asks.
images {
  interval     = "2m"
  exclude      = ["registry.k8s.io/*", "602401143452.dkr.ecr.*"]
  trust_labels = ["registry.example.com/reproducible/*"]
}

registry "registry.example.com" {
  endpoint = var.mirror
  insecure = startswith(var.mirror, "http://")
  rps      = 20
}

# Others of the same address pull here, too: leave them 60 percent.
registry "docker.io" {
  rps     = 2
  reserve = 60
}

registry_credential "docker_config" "own" {
  match = ["registry.example.com"]
  path  = var.docker_config
}

# Account and region are in the image's name; the role is assumed for this
# account only. Without any block, the daemon's own role serves all of ECR.
registry_credential "ecr" "tools" {
  match       = ["210987654321.dkr.ecr.*.amazonaws.com"]
  assume_role = "arn:aws:iam::210987654321:role/ecr-read"
}

# A program of yours, which speaks the protocol of docker's credential helpers.
registry_credential "exec" "vault" {
  match   = ["vault.example.com"]
  command = ["/usr/local/bin/docker-credential-vault"]
}
