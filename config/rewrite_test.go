package config_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

const rewritable = `source "git" "ops" { url = "https://git.example.com/ops.git" }
sluice {
  repository {
    source = source.git.ops
    path   = "clusters/prod"
  }
}
locals { tag = "5.0" }
release "web" {
  chart { repository = "oci://registry.example.com/charts/web" }
  values = { # ünïcode
    image = { repository = "ghost", "tag" = ("5.0") } // as it is
    list  = [{ image = "a\tb" }]
    local = local.tag
    same  = "5.0${""}"
    here  = <<-EOT
      5.0
    EOT
    n     = 5
  }
}
release "each" {
  for_each = ["x"]
  chart { repository = "oci://registry.example.com/charts/web" }
  values = { image = "ghost:5" }
}
`

func TestRewrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "main.hcl")
	if err := os.WriteFile(file, []byte(rewritable), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, diags := config.Load([]string{file}, options())
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	web, each := cfg.Releases[0], cfg.Releases[1]
	if diff := cmp.Diff(config.Origin{Source: "source.git.ops", Path: "clusters/prod/main.hcl"}, web.Origin); diff != "" {
		t.Errorf("origin (-want +got):\n%s", diff)
	}
	tests := map[string]struct {
		r       config.Release
		set     []config.Setting
		replace []string // of the text
		err     string
	}{
		"one":      {web, []config.Setting{{diag.Attr("image", "tag"), "5.0", "5.1"}}, []string{`"5.0")`, `"5.1")`}, ""},
		"two":      {web, []config.Setting{{diag.Attr("image", "tag"), "5.0", "5.1"}, {diag.Attr("image", "repository"), "ghost", "g\"host"}}, []string{`"5.0")`, `"5.1")`, `"ghost",`, `"g\"host",`}, ""},
		"in list":  {web, []config.Setting{{diag.Attr("list", 0, "image"), "a\tb", "c"}}, []string{`"a\tb"`, `"c"`}, ""},
		"nothing":  {web, nil, nil, ""},
		"local":    {web, []config.Setting{{diag.Attr("local"), "5.0", "5.1"}}, nil, "main.hcl:14:13: local is computed here"},
		"template": {web, []config.Setting{{diag.Attr("same"), "5.0", "5.1"}}, nil, "main.hcl:15:13: same is computed here"},
		"heredoc":  {web, []config.Setting{{diag.Attr("here"), "5.0\n", "5.1"}}, nil, "main.hcl:16:13: here is computed here"},
		"number":   {web, []config.Setting{{diag.Attr("n"), "5", "6"}}, nil, "main.hcl:19:13: n is computed here"},
		"absent":   {web, []config.Setting{{diag.Attr("image", "digest"), "", "6"}}, nil, "main.hcl:12:13: image.digest is computed here"},
		"another":  {web, []config.Setting{{diag.Attr("image", "tag"), "4", "6"}}, nil, "main.hcl:12:46: image.tag is another here"},
		"twice":    {web, []config.Setting{{diag.Attr("image", "tag"), "5.0", "6"}, {diag.Attr("image", "tag"), "5.0", "7"}}, nil, "main.hcl:12:46: it is to be changed twice"},
		"for_each": {each, []config.Setting{{diag.Attr("image"), "ghost:5", "ghost:6"}}, nil, `release.each["x"] is one of several by for_each, which have their values from one block`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := cfg.Rewrite(tt.r, []byte(rewritable), tt.set)
			if tt.err != "" {
				if err == nil || strings.TrimPrefix(err.Error(), filepath.Dir(file)+"/") != tt.err {
					t.Errorf("%v, want %s", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.NewReplacer(tt.replace...).Replace(rewritable), string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if _, err := cfg.Rewrite(web, []byte(rewritable+"\n"), nil); !errors.Is(err, config.ErrOtherText) {
		t.Errorf("of another text: %v", err)
	}
}

// FuzzRewrite changes each string in values of any form that can be changed, and
// loads the result: the values have the other string there, and differ in
// nothing else.
func FuzzRewrite(f *testing.F) {
	for _, seed := range []string{`{ a = "x" }`, `{ a = ["x", { b = ("y") }], c = "x" }`, `{ "a" = "\"", b = "${"x"}" }`, `{ (upper("a")) = "x" }`, `{ a = "x", a = "y" }`,
		`secret({ a = "x" })`, `merge({ a = "x" }, { b = "y" })`, `{ a = <<E
x
E
}`, `{ a = "" }`, `{ a = "ü", b = "$${x}" }`, `{ a = var.password }`, `{ for k, v in { a = "x" } : k => v }`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, values string) {
		src := release(values)
		cfg, diags := config.Load([]string{write(t, src)}, options())
		if diags.HasErrors() || len(cfg.Releases) != 1 || cfg.Releases[0].Values.JSON == nil {
			return
		}
		r := cfg.Releases[0]
		var before any
		if err := json.Unmarshal(r.Values.JSON, &before); err != nil {
			t.Fatal(err)
		}
		eachPath(nil, before, func(path diag.Path) {
			old, ok := valueAt(before, path).(string)
			if !ok {
				return
			}
			out, err := cfg.Rewrite(r, []byte(src), []config.Setting{{Path: path, Old: old, New: "other:1"}})
			if err != nil {
				return
			}
			again, diags := config.Load([]string{write(t, string(out))}, options())
			if diags.HasErrors() {
				t.Fatalf("%s\nbecame\n%s\n%v", src, out, diags)
			}
			var after any
			if err := json.Unmarshal(again.Releases[0].Values.JSON, &after); err != nil {
				t.Fatal(err)
			}
			var changed []string
			eachPath(nil, before, func(p diag.Path) {
				if s, ok := valueAt(before, p).(string); ok && valueAt(after, p) != any(s) {
					changed = append(changed, p.String())
				}
			})
			if valueAt(after, path) != any("other:1") || len(changed) > 1 || len(changed) == 0 && old != "other:1" {
				t.Fatalf("%s of\n%s\nbecame\n%s\nchanged: %q", path, src, out, changed)
			}
		})
	})
}

// valueAt returns the element of v at path.
func valueAt(v any, path diag.Path) any {
	for _, step := range path {
		switch of := v.(type) {
		case map[string]any:
			v = of[step.Name]
		case []any:
			if step.Index >= len(of) {
				return nil
			}
			v = of[step.Index]
		default:
			return nil
		}
	}
	return v
}
