variable "unused" { default = 1 }
source "git" "shop" {
  url = "https://git.example.com/shop.git"
  ref = "main"
}
sync "shop" { source = source.git.shop }
