source "git" "shop" {
  ssh {
  }
}
source "bucket" "b" {}
sync "shop" {
  source = null
}
sync "other" {
  source = source.git.shop
}
sync "bucket" { source = source.bucket.b }
sync "none" {}
