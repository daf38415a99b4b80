sluice {
  api { listen = "unix://run/sluice.sock" }
  api { listen = "unix:///run/sluice.sock" }
}
plugin "git" {
  env = ["A=B"]
}

source "git" "shop" { url = "https://git.example.com/shop.git" }
sync "shop" { source = source.git.shop }
