source "git" "shop" { url = "https://git.example.com/shop.git" }
sync "shop" { source = source.git.shop }
sync "region" {
  for_each = ["eu", "us"]
  source   = source.git.shop
}

image_automation "a" { sync = sync.shop }
image_automation "b" { sync = sync.shop }
image_automation "c" { sync = sync.shpo }
image_automation "d" { sync = sync.region }
image_automation "regions" {
  for_each = ["eu", "us", "extra"]
  sync     = sync.region[each.key == "extra" ? "eu" : each.key]
}
image_automation "nothing" {}
image_automation "wrong" {
  sync     = source.git.shop
  interval = "100ms"
  soak     = "-1s"
  suspend  = "because"
  branch   = "feature branch"
  message  = "{{ .Workload"
  health {
    timeout    = "0s"
    revert     = true
    quarantine = false
  }
}
image_automation "template" {
  sync    = sync.shpo
  branch  = "refs/tags/v1"
  message = <<-EOT
    Update

    {{ range .Images }}{{ .Name | upper }}
    {{ end }}
  EOT
  health {
    quarantine = false
  }
  health {}
}
image_automation "secret" {
  sync    = sync.shpo
  message = secret("hunter2 {{ hunter2 }}")
  branch  = secret("hunter3..")
}
release "ghost" {
  chart { repository = "oci://registry.example.com/charts/ghost" }
  values_from { config_map = "defaults" }
}
image_automation "ghost" { release = release.ghost }
image_automation "both" {
  sync    = sync.shop
  release = release.ghost
}
image_automation "neither" {}
image_automation "twice" { release = release.ghost }
image_automation "kind" { release = sync.shop }
