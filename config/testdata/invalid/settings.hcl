sluice {
  data_dri  = "/var/lib/sluice"
  log_level = "verbose"
  api { listen = "0.0.0.0:8080" }
}
plugin "git" {
  env       = { "A=B" = "x" }
  idle_stop = "1ms"
}

source "git" "shop" { url = "https://git.example.com/shop.git" }
sync "shop" { source = source.git.shop }
