package config_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/sdk/schema"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// pluginConfig is a configuration as an author of a plugin declares it.
type pluginConfig struct {
	URL     string            `hcl:"url" format:"url"`
	Branch  string            `hcl:"branch,optional" default:"main"`
	Depth   int               `hcl:"depth,optional" default:"1"`
	Ratio   float64           `hcl:"ratio,optional"`
	Mirror  bool              `hcl:"mirror,optional" default:"true"`
	Every   time.Duration     `hcl:"every,optional" format:"duration" default:"30s"`
	Stall   time.Duration     `hcl:"stall,optional"`
	Limit   int64             `hcl:"limit,optional" format:"bytes"`
	Key     string            `hcl:"key,optional" format:"path"`
	Token   secret.Secret     `hcl:"token,optional"`
	Include []string          `hcl:"include,optional"`
	Labels  map[string]string `hcl:"labels,optional"`
	Maybe   *string           `hcl:"maybe,optional"`
	Values  any               `hcl:"values,optional"`
	SSH     *struct {
		KeySecret string `hcl:"key_secret"`
	} `hcl:"ssh,block"`
	Mirrors []struct {
		To string `hcl:"to"`
	} `hcl:"mirrors,block"`
	Headers map[string]struct {
		Value string `hcl:"value"`
	} `hcl:"header,block"`
}

// TestPluginGetsWhatTheUserWrote goes from the author's struct to a schema,
// through the user's text, and back into the struct.
func TestPluginGetsWhatTheUserWrote(t *testing.T) {
	s, err := schema.Of[pluginConfig]()
	if err != nil {
		t.Fatal(err)
	}
	o := options()
	o.Schemas = func(config.Settings, []config.Plugin) config.SchemaSource {
		return schemas{"source/git": s, "applier/kubernetes": &schema.Schema{}}
	}
	cfg := load(t, `source "git" "full" {
  url     = "https://git.example.com/shop.git"
  branch  = "next"
  depth   = "3"
  ratio   = 0.5
  mirror  = false
  every   = "1m"
  stall   = "1h30m"
  limit   = "64MiB"
  key     = "/keys/id"
  token   = secret("t0ken")
  include = ["a", 1]
  labels  = { a = true }
  maybe   = ""
  values  = { n = 1, list = [null, "x"] }
  ssh { key_secret = "k" }
  mirrors { to = "x" }
  mirrors { to = "y" }
  header "h" { value = "v" }
}
source "git" "least" {
  url = "https://git.example.com/shop.git"
  key = "id"
}
sync "full" { source = source.git.full }
sync "least" { source = source.git.least }
`, o)

	var full pluginConfig
	if diags := schema.Decode(cfg.Sources[0].Plugin.JSON, &full); len(diags) > 0 {
		t.Fatal(diags)
	}
	want := pluginConfig{
		URL: "https://git.example.com/shop.git", Branch: "next", Depth: 3, Ratio: 0.5,
		Every: time.Minute, Stall: 90 * time.Minute, Limit: 64 << 20, Key: "/keys/id",
		Token: secret.New("t0ken"), Include: []string{"a", "1"}, Labels: map[string]string{"a": "true"}, Maybe: new(string),
	}
	got := full
	got.Values, got.SSH, got.Mirrors, got.Headers = nil, nil, nil, nil
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b secret.Secret) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if full.SSH == nil || full.SSH.KeySecret != "k" || len(full.Mirrors) != 2 || full.Mirrors[1].To != "y" || full.Headers["h"].Value != "v" || full.Values == nil {
		t.Errorf("blocks: %+v", full)
	}

	var least pluginConfig
	if diags := schema.Decode(cfg.Sources[1].Plugin.JSON, &least); len(diags) > 0 {
		t.Fatal(diags)
	}
	if least.Branch != "main" || least.Depth != 1 || !least.Mirror || least.Every != 30*time.Second || least.SSH != nil || least.Maybe != nil {
		t.Errorf("defaults: %+v", least)
	}
	if file := cfg.Sources[1].Plugin.Locate(nil).File; least.Key != filepath.Join(filepath.Dir(file), "id") {
		t.Errorf("the path %s is not relative to the file that holds it", least.Key)
	}
}
