source "git" "shop" { url = local.url }
source git ops { url = "ssh://git@git.example.com/ops.git" }
