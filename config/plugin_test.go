package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/schema"
)

// load loads src and fails the test if it has errors.
func load(t *testing.T, src string, o config.Options) *config.Config {
	t.Helper()
	cfg, diags := config.Load([]string{write(t, src)}, o)
	if diags.HasErrors() {
		var b bytes.Buffer
		config.Render(&b, diags, cfg.Files, false)
		t.Fatalf("errors:\n%s", b.String())
	}
	return cfg
}

func TestLocate(t *testing.T) {
	cfg := load(t, `locals { labels = { a = "x" } }
source "git" "shop" {
  url     = "https://git.example.com/shop.git"
  include = ["a", ("b")]
  labels  = local.labels
  proxy   = { host = "h", port = 1 }
  ssh {
    key_secret = "k"
  }
  mirror { to = "x" }
  dynamic "mirror" {
    for_each = ["y"]
    content {
      to = mirror.value
    }
  }
  header "h" { value = "v" }
}
sync "shop" { source = source.git.shop }
`, options())
	p := cfg.Sources[0].Plugin
	tests := []struct {
		path diag.Path
		want string // line:column of start and end
	}{
		{nil, "2:1-2:20"},
		{diag.Attr("url"), "3:13-3:47"},
		{diag.Attr("include"), "4:13-4:25"},
		{diag.Attr("include", 1), "4:19-4:24"},
		{diag.Attr("include", 7), "4:13-4:25"},
		{diag.Attr("include", -1), "4:13-4:25"},
		{diag.Attr("labels", "a"), "5:13-5:25"},
		{diag.Attr("proxy", "port"), "6:34-6:35"},
		{diag.Attr("ssh"), "7:3-7:6"},
		{diag.Attr("ssh", "key_secret"), "8:18-8:21"},
		{diag.Attr("ssh", 0, "key_secret"), "8:18-8:21"},
		{diag.Attr("ssh", "timeout"), "7:3-7:6"},
		{diag.Attr("mirror", 0, "to"), "10:17-10:20"},
		{diag.Attr("mirror", 1, "to"), "14:12-14:24"},
		{diag.Attr("header", "h", "value"), "17:24-17:27"},
		{diag.Attr("branch"), "2:1-2:20"},
		{diag.Attr("no", "such", 3), "2:1-2:20"},
	}
	for _, tt := range tests {
		r := p.Locate(tt.path)
		got := fmt.Sprintf("%d:%d-%d:%d", r.Start.Line, r.Start.Column, r.End.Line, r.End.Column)
		if got != tt.want {
			t.Errorf("Locate(%s) = %s, want %s", tt.path, got, tt.want)
		}
	}
	if r := (config.PluginConfig{}).Locate(diag.Attr("url")); r != (diag.Range{}) {
		t.Errorf("the zero PluginConfig locates %v", r)
	}
}

// TestSecretsStayInside prints a configuration full of secrets, and its
// diagnostics, in every way there is.
func TestSecretsStayInside(t *testing.T) {
	src := `variable "password" {
  sensitive = true
  default   = "from-variable"
}
locals { joined = "x-${var.password}" }
plugin "git" { env = { TOKEN = secret("from-plugin-env"), PLAIN = "plain-value" } }
source "git" "shop" {
  url    = "https://user:${var.password}@git.example.com/shop.git"
  token  = "from-literal"
  branch = base64encode(secret("from-function"))
  labels = { a = local.joined }
  values = { number = secret(987654321), list = [secret("from-list")] }
  %s
}
sync "shop" { source = source.git.shop }
`
	secrets := []string{"from-variable", "from-literal", "from-function", "ZnJvbS1mdW5jdGlvbg==", "from-list", "987654321", "from-plugin-env"}

	cfg := load(t, fmt.Sprintf(src, ""), options())
	p := cfg.Sources[0].Plugin
	for _, s := range []string{"from-variable", "from-literal", "ZnJvbS1mdW5jdGlvbg==", "from-list", "987654321"} {
		if !strings.Contains(string(p.JSON), s) {
			t.Errorf("the plugin does not get %s: %s", s, p.JSON)
		}
		if !slices.Contains(p.Secrets, s) {
			t.Errorf("%s is not among the secrets %q", s, p.Secrets)
		}
	}
	if diff := cmp.Diff([]string{"from-plugin-env"}, cfg.Plugins[0].Secrets); diff != "" {
		t.Errorf("secrets of the plugin block (-want +got):\n%s", diff)
	}
	shown := *cfg
	shown.Files = nil // is text, with masks; printed below
	data, err := json.Marshal(shown)
	if err != nil {
		t.Fatal(err)
	}
	printed := []string{string(data), fmt.Sprintf("%v", p), fmt.Sprintf("%+v", p), fmt.Sprintf("%#v", p), string(cfg.Files[firstKey(cfg.Files)])}

	// Each of these lines makes a diagnostic about a secret.
	for _, mistake := range []string{`depth = var.password`, `poll = secret("from-function")`, `tags = "(${var.password}"`, `auth = local.joined`,
		`include = { a = var.password }`, `max_size = secret("from-list")`, `depth = tonumber(var.password)`, `proxy = { (var.password) = 1 }`,
		`key_file = file("/no/${var.password}")`, `nope = "${var.password}"`, `depth = parseint(var.password, 10)`, `depth = jsondecode(var.password)`,
		`mirror { to = [var.password] }`} {
		_, diags := config.Load([]string{write(t, fmt.Sprintf(src, mistake))}, options())
		if !diags.HasErrors() {
			t.Errorf("no error for %s", mistake)
		}
		var b bytes.Buffer
		broken, _ := config.Load([]string{write(t, fmt.Sprintf(src, mistake))}, options())
		config.Render(&b, diags, broken.Files, false)
		printed = append(printed, b.String(), fmt.Sprint(diags))
	}
	for _, text := range printed {
		for _, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("%q shows in:\n%s", s, text)
			}
		}
	}
	if !strings.Contains(printed[0], "plain-value") && !strings.Contains(printed[0], "(redacted)") {
		t.Errorf("nothing redacted in %s", printed[0])
	}
}

func firstKey(files map[string][]byte) string {
	for name := range files {
		return name
	}
	return ""
}

// TestPluginClaimsHostArgument loads the block of a plugin that declares what
// the host owns.
func TestPluginClaimsHostArgument(t *testing.T) {
	o := options()
	o.Schemas = func(config.Settings, []config.Plugin) config.SchemaSource {
		return schemas{
			"source/git":         {Attributes: []schema.Attribute{{Name: "interval", Type: schema.Type{Kind: schema.Number}}}},
			"applier/kubernetes": {},
		}
	}
	_, diags := config.Load([]string{write(t, "source \"git\" \"a\" {}\nsync \"a\" { source = source.git.a }\n")}, o)
	if len(diags) != 1 || !strings.Contains(diags[0].Detail, `"interval"`) || !strings.Contains(diags[0].Detail, "plugin git 1.4.2") {
		t.Errorf("got %v", diags)
	}
}

func TestWithoutSchemas(t *testing.T) {
	o := options()
	o.Schemas = nil
	cfg := load(t, `source "svn" "shop" { anything = "goes" }
sync "shop" { source = source.svn.shop }
`, o)
	if p := cfg.Sources[0].Plugin; p.JSON != nil || p.Kind != "source" || p.Type != "svn" {
		t.Errorf("got %+v with JSON %s", p, p.JSON)
	}
}
