variable "secret_map" {
  sensitive = true
  default   = { a = "value-of-a" }
}
source "git" "number" {
  for_each = 5
  url      = "https://git.example.com/shop.git"
}
source "git" "numbers" {
  for_each = [[1], [2]]
  url      = "https://git.example.com/shop.git"
}
source "git" "twice" {
  for_each = ["a", "a"]
  url      = "https://git.example.com/shop.git"
}
source "git" "empty_key" {
  for_each = { "" = 1 }
  url      = "https://git.example.com/shop.git"
}
source "git" "secrets" {
  for_each = var.secret_map
  url      = "https://git.example.com/shop.git"
}
source "git" "good" {
  for_each = ["eu-west-1", "us-east-1"]
  url      = "https://git.example.com/${each.kee}.git"
}
sync "a" { source = source.git.good }
sync "b" { source = source.git.good["eu-west-2"] }
sync "c" {
  for_each = ["eu-west-1", "mars"]
  source   = source.git.good[each.key]
}
sync "d" { source = source.git.good["eu-west-1"].url }
sync "e" {
  source     = source.git.number
  depends_on = [sync.c, source.git.good, source.git.numbers, source.git.twice, source.git.empty_key, source.git.secrets]
}
