source "git" "shop" {
  url "https://git.example.com/shop.git"
}
