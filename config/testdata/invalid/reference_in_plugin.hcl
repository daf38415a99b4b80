source "git" "shop" {
  url    = "https://git.example.com/shop.git"
  branch = source.git.other
  values = { ref = [source.git.other] }
}
source "git" "other" { url = "https://git.example.com/${source.git.shop}.git" }
sync "a" { source = source.git.shop }
