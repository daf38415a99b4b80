# The least that works: one repository, one cluster. The cluster is the current
# kubeconfig context, or the one that sluice runs in.
variable "repository" {
  default     = "https://git.example.com/shop/deploy.git"
  description = "URL of the repository with the manifests."
}

source "git" "shop" {
  url = var.repository
}

sync "shop" {
  source = source.git.shop
}
