locals { url = "file:///srv/git/${env("CITY")}.git" }
sync "shop" {
  source = var.production ? source.git.shop : source.git.ops
  prune { max = 5 }
}
sync ops {
  source = { shop = source.git.shop, ops = source.git.ops }["ops"]
}
