sorce "git" "shop" {
  url = "https://git.example.com/shop.git"
}
webhook "github" {
}
interval = "1m"
