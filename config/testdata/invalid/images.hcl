images {
  scan       = "some"
  interval   = "50ms"
  include    = ["quay.io/*", "", "quay.io/[acme", "http://quay.io/x", "quay.io/UPPER", "nohost", "quay.io/x:1.2"]
  cache_size = "12"
}

images {
  scan = "all"
}

registry "https://quay.io" {
  rps = 5
}

registry "quay.io" {
  rps      = 0
  burst    = "many"
  endpoint = "http://mirror.example.com"
  ca_file  = "no-such.pem"
  api      = "docker"
}

registry "quay.io" {
  cert_file = "images.hcl"
  port      = 5000
}
