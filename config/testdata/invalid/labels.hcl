source "git" {
  url = "https://git.example.com/shop.git"
}
sync {
}
sync "a" "b" {
}
sluice "x" {
}
source "git" "my shop" {
  url = "https://git.example.com/shop.git"
}
sync "1st" {
}
