package config_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/config"
)

// TestVariables gives values from outside and looks at what a plugin gets.
func TestVariables(t *testing.T) {
	tests := map[string]struct {
		block, given string // given by an option
		env          string // given by the environment
		want         string // JSON, or the start of a diagnostic's detail
	}{
		"default":                  {block: `default = "d"`, want: `"d"`},
		"option wins":              {block: `default = "d"`, given: "o", env: "e", want: `"o"`},
		"environment wins":         {block: `default = "d"`, env: "e", want: `"e"`},
		"text stays text":          {block: `type = string`, given: "[1]", want: `"[1]"`},
		"number":                   {block: `type = number`, given: "4", want: `4`},
		"number by default":        {block: `default = 1`, given: "4", want: `4`},
		"bool":                     {block: `type = bool`, given: "true", want: `true`},
		"list":                     {block: `type = list(string)`, given: `["a", 1]`, want: `["a","1"]`},
		"object with defaults":     {block: `type = object({ a = optional(number, 3) })`, given: `{}`, want: `{"a":3}`},
		"without a type, a list":   {given: `[1, 2]`, want: `[1,2]`},
		"without a type, text":     {given: `some words`, want: `"some words"`},
		"not a number":             {block: `type = number`, given: "many", want: `The value given by --var v does not fit the type of variable "v"`},
		"not a number, by default": {block: `default = 1`, env: "many", want: `The value given by SLUICE_VAR_v does not fit the type of variable "v"`},
		"does not parse":           {block: `type = list(string)`, given: "[", want: `The value given by --var v does not parse`},
		"refers to something":      {block: `type = list(string)`, given: "[var.x]", want: `The value given by --var v does not parse`},
		"missing":                  {want: `Set it with --var v=VALUE`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := options()
			if tt.given != "" {
				o.Variables = map[string]string{"v": tt.given}
			}
			o.Env = func(name string) (string, bool) { return tt.env, name == "SLUICE_VAR_v" && tt.env != "" }
			src := "variable \"v\" {\n" + tt.block + "\n}\n" + `
source "git" "shop" {
  url    = "https://git.example.com/shop.git"
  values = var.v
}
sync "shop" { source = source.git.shop }
`
			cfg, diags := config.Load([]string{write(t, src)}, o)
			if diags.HasErrors() {
				if len(diags) != 1 || !strings.HasPrefix(diags[0].Detail, tt.want) {
					t.Errorf("got %v, want one diagnostic: %s", diags, tt.want)
				}
				return
			}
			var got struct{ Values json.RawMessage }
			if err := json.Unmarshal(cfg.Sources[0].Plugin.JSON, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got.Values)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestUndeclaredVariable(t *testing.T) {
	o := options()
	o.Variables = map[string]string{"clutser": "x"}
	_, diags := config.Load([]string{write(t, `variable "cluster" { default = "a" }`)}, o)
	if len(diags) != 1 || !strings.Contains(diags[0].Detail, `Did you mean "cluster"?`) {
		t.Errorf("got %v", diags)
	}
}
