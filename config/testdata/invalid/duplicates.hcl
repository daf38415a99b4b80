source "git" "shop" { url = "https://git.example.com/shop.git" }
source "git" "shop" { url = "https://git.example.com/other.git" }
sync "shop" { source = source.git.shop }
sync "shop" { source = source.git.shop }
plugin "git" {}
plugin "git" {}
sluice {}
sluice {}
variable "a" { default = var_is_not_allowed }
variable "a" {}
locals { x = 1 }
locals { x = 2 }
applier "kubernetes" "k" {
  context = local.x
}
applier "kubernetes" "k" {}
