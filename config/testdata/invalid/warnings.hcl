variable "unused" { default = 1 }
source "git" "shop" {
  url = "https://git.example.com/shop.git"
  ref = "main"
}
registry_credential "ecr" "all" {
  match = []
}
sync "shop" { source = source.git.shop }
