source "git" "shop" { url = "https://git.example.com/shop.git" }
sync "shop" { source = source.git.shop }
mirror "charts.example.com" { to = "https://mirror.internal" }
mirror "https://charts.example.com/" { to = "https://mirror.internal" }
mirror "https://Charts.example.com" { to = "https://mirror.internal" }
mirror "git@git.example.com:a" { to = "https://mirror.internal" }
mirror "ssh://git@git.example.com/a/" { to = "https://mirror.internal" }
mirror "oci://ghcr.io" { to = "https://mirror.internal" }
mirror "https://ann:hunter22@x.example.com" { to = "https://mirror.internal" }
mirror "https://a.example.com" { to = "https://ann:hunter22@mirror.internal" }
mirror "https://b.example.com" {}
mirror "https://c.example.com" { to = "" }
mirror "https://d.example.com" {
  to       = "http://mirror.internal"
  username = "ann"
  password = "hunter22"
  insecure = true
}
mirror "https://e.example.com" "x" { to = "gopher://mirror.internal" }
mirror "https://f.example.com" { to = "gopher://mirror.internal/#x" }
mirror "https:///x" { to = secret("https://mirror.internal") }
mirror "ssh://git.example.com/b" { to = "oci://mirror.internal" }
mirror "https://g.example.com" { to = "oci://mirror.internal/charts" }
