variable "v" {
  default = 1
  validation {
    condition     = var.v > local.least
    error_message = "Too small."
  }
}
variable "used" { default = 1 }
locals {
  l     = 1
  least = 0
  m     = var.used
}
applier "kubernetes" "a" { context = local.m }
applier "kubernetes" "b" {}
source "git" "shop" { url = "https://git.example.com/shop.git" }
