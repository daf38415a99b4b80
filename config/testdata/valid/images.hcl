images {
  scan         = "all"
  interval     = "1m"
  include      = ["quay.io/acme/*", "docker.io/*", "*", "*.gcr.io*", "localhost:5000/x", "localhost:*/x"]
  exclude      = ["*/internal/*"]
  trust_labels = ["quay.io/acme/*"]
  cache_size   = "1.5GB"
}

registry "*.example.com:5000" {
  endpoint = "http://127.0.0.1:5000/mirror/"
  insecure = true
  rps      = 0.5
  burst    = 2
  reserve  = 50
  api      = "quay"
}
registry "Quay.io" {}
registry "127.0.0.1:*" {}

source "git" "shop" {
  url = "https://git.example.com/shop.git"
}
sync "shop" {
  source = source.git.shop
}
