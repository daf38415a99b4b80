source "git" "shop" {
  url    = fromat("https://%s/shop.git", "git.example.com")
  branch = env("UNSET_VARIABLE")
  token  = file("no-such-file")
  values = [upper(), upper(1, 2), jsondecode("{"), yamldecode("a: [b"), base64decode("!"), length(5), tonumber("x"), regex("(", "x"), env("CITY", "a", "b")]
}
sync "shop" { source = source.git.shop }
