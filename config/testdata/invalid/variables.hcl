variable "needed" {}
variable "typed" {
  type    = number
  default = "many"
}
variable "badtype" {
  type    = strng
  default = ""
}
variable "checked" {
  default = 0
  validation {
    condition     = var.checked > 0
    error_message = "Must be positive."
  }
}
variable "unchecked" {
  default = 0
  validation {
    condition = "perhaps ${var.unchecked}"
    error_message = "x"
  }
  validation {}
}
variable "constant" { default = var.checked }
variable "typo" {
  defautl = 1
}
source "git" "shop" {
  url    = "https://git.example.com/${var.needed}.git"
  branch = "${var.typed}${var.badtype}${var.unchecked}${var.constant}${var.typo}"
}
sync "shop" { source = source.git.shop }
