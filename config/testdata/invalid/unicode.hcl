source "git" "shop" {
  url = "https://git.example.com/shop.git"
	branch = var.ü /* 日本語 👩‍👩‍👧 é */
  labels = { "日本語" = "👩‍👩‍👧", x = nope }
}
sync "shop" { source = source.git.shop }
