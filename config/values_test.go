package config_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// release is a configuration with one release of these values.
func release(values string) string {
	return `variable "password" {
  sensitive = true
  default   = "from-variable"
}
locals { shared = { x = 1 } }
release "a" {
  chart { repository = "oci://registry.example.com/a" }
  values = ` + values + "\n}\n"
}

func TestReleaseValues(t *testing.T) {
	tests := []struct{ values, want, shown string }{
		{`{}`, `{}`, `{}`},
		{`null`, ``, `null`},
		{`{ a = null, b = [null, {}] }`, `{"a":null,"b":[null,{}]}`, ``},
		{`{ n = [1, 0.1, 12345678901234567890.5, 1e30, 1e-3, 3 * 1.1] }`, `{"n":[1,0.1,12345678901234567890.5,1000000000000000000000000000000,0.001,3.3]}`, ``},
		{`{ "a.b/c" = "<>", (upper("k")) = true }`, `{"K":true,"a.b/c":"\u003c\u003e"}`, ``},
		{`yamldecode("a: 5.0\nb: '5.0'\nc: ~\n1: x\n")`, `{"1":"x","a":5,"b":"5.0","c":null}`, ``},
		{`merge({ a = 1 }, local.shared)`, `{"a":1,"x":1}`, ``},
		{`{ p = var.password, u = "u:${var.password}", ok = "plain" }`, `{"ok":"plain","p":"from-variable","u":"u:from-variable"}`,
			`{"ok":"plain","p":"(redacted)","u":"(redacted)"}`},
		{`secret({ n = 7, b = true, l = [], z = null })`, `{"b":true,"l":[],"n":7,"z":null}`, `{"b":"(redacted)","l":[],"n":"(redacted)","z":null}`},
		{`tomap({ a = "1", b = secret("hidden") })`, `{"a":"1","b":"hidden"}`, `{"a":"(redacted)","b":"(redacted)"}`}, // one makes the map so
		{`{ (var.password) = 1, "x-${var.password}" = 2 }`, `{"from-variable":1,"x-from-variable":2}`, `{"(redacted)":"(redacted)"}`},
	}
	for _, tt := range tests {
		cfg, diags := config.Load([]string{write(t, release(tt.values))}, options())
		if diags.HasErrors() {
			t.Errorf("%s: %v", tt.values, diags)
			continue
		}
		v := cfg.Releases[0].Values
		if string(v.JSON) != tt.want {
			t.Errorf("%s is %s, want %s", tt.values, v.JSON, tt.want)
		}
		shown, err := json.Marshal(v)
		if want := orElse(tt.shown, tt.want); err != nil || string(shown) != want {
			t.Errorf("%s is shown as %s (%v), want %s", tt.values, shown, err, want)
		}
		for _, printed := range []string{string(shown), fmt.Sprintf("%v %+v %#v", v, v, v)} {
			for _, s := range v.Secrets {
				if len(s) > 1 && strings.Contains(printed, s) {
					t.Errorf("%q shows in %s", s, printed)
				}
			}
		}
	}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func TestReleaseValuesLocate(t *testing.T) {
	cfg := load(t, release(`{
    image = { repository = "ghost", tag = "5" }
    list  = [1, { deep = "x" }]
    "a.b" = local.shared
    file  = yamldecode("x: 1")
  }`), options())
	v := cfg.Releases[0].Values
	tests := []struct {
		path diag.Path
		want string
	}{
		{nil, "8:12-13:4"},
		{diag.Attr("image"), "9:13-9:48"},
		{diag.Attr("image", "tag"), "9:43-9:46"},
		{diag.Attr("image", "pullPolicy"), "9:13-9:48"},
		{diag.Attr("list", 1, "deep"), "10:26-10:29"},
		{diag.Attr("list", 7), "10:13-10:32"},
		{diag.Attr("a.b", "x"), "11:13-11:25"},
		{diag.Attr("file", "x"), "12:13-12:31"},
		{diag.Attr("replicas"), "8:12-13:4"},
	}
	for _, tt := range tests {
		r := v.Locate(tt.path)
		if got := fmt.Sprintf("%d:%d-%d:%d", r.Start.Line, r.Start.Column, r.End.Line, r.End.Column); got != tt.want {
			t.Errorf("Locate(%s) = %s, want %s", tt.path, got, tt.want)
		}
	}
	if r := (config.ReleaseValues{}).Locate(diag.Attr("a")); r != (diag.Range{}) {
		t.Errorf("no values locate %v", r)
	}
}

// FuzzReleaseValues loads releases with any expression as values. What is
// accepted is a JSON object, shows no secret, and is found in the file.
func FuzzReleaseValues(f *testing.F) {
	for _, seed := range []string{`{}`, `{ a = [1, "x", null], b = { c = true } }`, `{ p = var.password }`, `secret({ a = "bcde" })`, `[1]`, `"x"`, `null`,
		`{ for k, v in local.shared : k => "${var.password}${v}" }`, `yamldecode("a: [1, {b: c}]")`, `{ (var.password) = 1 }`, `{ a = 1e999, b = -0 }`, `{ a = local }`, "{\n a = <<-E\n x\n E\n}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, values string) {
		cfg, diags := config.Load([]string{write(t, release(values))}, options())
		if diags.HasErrors() || len(cfg.Releases) != 1 {
			return
		}
		v := cfg.Releases[0].Values
		shown, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if v.JSON == nil {
			return // null
		}
		var object map[string]any
		if err := json.Unmarshal(v.JSON, &object); err != nil || object == nil {
			t.Fatalf("%s is no object: %v", v.JSON, err)
		}
		var again map[string]any
		if err := json.Unmarshal(shown, &again); err != nil || again == nil {
			t.Fatalf("%s is shown as %s: %v", v.JSON, shown, err)
		}
		if strings.Contains(string(shown), "from-variable") && !strings.Contains(values, "from-variable") {
			t.Fatalf("a secret shows in %s", shown)
		}
		eachPath(nil, object, func(path diag.Path) {
			if at := v.Locate(path); at.Start.Line < 8 || at.End.Byte < at.Start.Byte {
				t.Fatalf("Locate(%s) = %v", path, at)
			}
		})
	})
}

// eachPath calls visit for each element of v.
func eachPath(path diag.Path, v any, visit func(diag.Path)) {
	visit(path)
	switch v := v.(type) {
	case map[string]any:
		for k, elem := range v {
			eachPath(append(path[:len(path):len(path)], diag.Attr(k)...), elem, visit)
		}
	case []any:
		for i, elem := range v {
			eachPath(append(path[:len(path):len(path)], diag.Attr(i)...), elem, visit)
		}
	}
}
