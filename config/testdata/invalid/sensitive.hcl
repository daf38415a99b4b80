variable "token" {
  sensitive = true
  default   = "tok-123456"
}
source "git" "shop" {
  url   = secret("no url but a secret")
  depth = var.token
  auth  = var.token
  poll  = "${var.token}"
  token = ["literal-token"]
}
sync "shop" {
  source   = source.git.shop
  interval = secret("hunter22")
  prune { max = var.token }
}
