variable "cluster" { default = "prod" }
locals { group = "acme" }
source "git" "shop" {
  url    = "https://git.example.com/${locl.group}/${local.grup}.git"
  branch = var.clutser
  token  = cluster
}
applier "kubernetes" "prod" { context = var.cluster }
sync "a" { source = source.git.shpo }
sync "b" { source = source.gti.shop }
sync "c" { source = source.shop }
sync "d" { source = shop }
sync "e" { source = sorce.git.shop }
sync "f" { source = git.shop }
sync "g" {
  source     = source.git.shop.revision
  depends_on = [sync.nothing]
}
sync "h" { source = source.git.shop["a"] }
sync "i" { 
  source  = source.git.shop
  applier = applier.kubernetes.prd
}
sync "j" { 
  source = each.value
}
sync "k" { source = source.bucket[var.cluster] }
sync "l" {
  source     = source.git
  depends_on = [sync.a, sync]
}
