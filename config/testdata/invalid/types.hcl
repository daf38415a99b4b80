source "git" "shop" {
  url     = ["https://git.example.com/shop.git"]
  depth   = "many"
  include = "*.yaml"
  labels  = { a = "b", c = ["d"] }
  proxy   = { hots = "proxy.example.com", port = "eighty" }
  write {
    ci_skip = "maybe"
  }
  mirror { to = null }
  mirror { to = {} }
}
source "git" "list" {
  url     = "https://git.example.com/shop.git"
  include = ["a", ["b"], null]
  proxy   = "proxy.example.com"
}
sync "shop" {
  source   = source.git.shop
  suspend  = "perhaps"
  interval = ["1m"]
  paths    = "manifests"
}
sync "list" {
  source = source.git.list
  paths  = ["a", {}]
}
