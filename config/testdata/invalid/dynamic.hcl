variable "hidden" {
  sensitive = true
  default   = ["hidden-value"]
}
source "git" "a" {
  url = "https://git.example.com/shop.git"
  dynamic "mirror" {
    for_each = ["x", "y"]
    content {
      too = mirror.value
      to  = miror.value
    }
  }
  dynamic "headers" {
    for_each = {}
    content {}
  }
}
source "git" "b" {
  url = "https://git.example.com/shop.git"
  dynamic "mirror" {
    for_each = 5
    content {}
  }
  dynamic "ssh" {
    content {}
  }
  dynamic "header" {
    for_each = var.hidden
    labels   = ["x"]
    content {}
  }
}
sync "a" { source = source.git.a }
sync "b" { source = source.git.b }
