package config_test

import (
	"testing"

	"github.com/sluice-gitops/sluice/config"
)

// BenchmarkLoad loads 1,000 sources and 1,000 syncs that all wait for one.
func BenchmarkLoad(b *testing.B) {
	path := write(b, `locals { apps = { for i in range(1000) : "app-${i}" => "https://git.example.com/${i}.git" } }
source "git" "app" {
  for_each = local.apps
  url      = each.value
}
sync "app" {
  for_each   = local.apps
  source     = source.git.app[each.key]
  depends_on = [sync.base]
}
sync "base" { source = source.git.app["app-0"] }
sync "last" {
  source     = source.git.app["app-0"]
  depends_on = [sync.app]
}
`)
	for b.Loop() {
		cfg, diags := config.Load([]string{path}, options())
		if len(diags) > 0 || len(cfg.Syncs) != 1002 {
			b.Fatalf("%d syncs: %v", len(cfg.Syncs), diags)
		}
	}
}
