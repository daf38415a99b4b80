source "svn" "shop" { url = "https://svn.example.com/${var.nope}" }
source "svn" "two" { url = "https://svn.example.com/" }
applier "nomad" "n" {}
sync "a" { source = source.svn.shop }
sync "b" { source = source.svn.two }
