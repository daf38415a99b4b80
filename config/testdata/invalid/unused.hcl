variable "v" { default = 1 }
variable "used" { default = 1 }
locals {
  l = 1
  m = var.used
}
applier "kubernetes" "a" { context = local.m }
applier "kubernetes" "b" {}
source "git" "shop" { url = "https://git.example.com/shop.git" }
