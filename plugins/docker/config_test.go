package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/schema"
)

func TestConfig(t *testing.T) {
	file := func(text []byte) diag.List { return schema.Decode(text, new(FileConfig)) }
	exec := func(text []byte) diag.List { return schema.Decode(text, new(ExecConfig)) }
	for _, c := range []struct {
		name   string
		decode func([]byte) diag.List
		config values
		want   []string // "severity path: summary", each a prefix
	}{
		{"file, least", file, values{}, nil},
		{"file, most", file, values{"path": "/c", "helpers": false, "env": values{"A_1": "x"}, "inherit": []string{"AWS_*", "B"}, "timeout": "5s"}, nil},
		{"exec, least", exec, values{"command": []string{"docker-credential-pass"}}, nil},
		{"exec, most", exec, values{"command": []string{"/bin/x", "-v"}, "protocol": "kubelet", "env": values{}, "inherit": []string{}, "timeout": "5s", "cache": "1h"}, nil},

		{"no command", exec, values{}, []string{"error command: "}},
		{"empty command", exec, values{"command": []string{}}, []string{"error command: command names no program"}},
		{"empty program", exec, values{"command": []string{"", "x"}}, []string{"error command: command names no program"}},
		{"relative path", exec, values{"command": []string{"bin/x"}}, []string{`error command: "bin/x" is neither an absolute path`}},
		{"zero byte", exec, values{"command": []string{"x", "a\x00b"}}, []string{"error command: command holds a zero byte"}},
		{"protocol", exec, values{"command": []string{"x"}, "protocol": "podman"}, []string{"error protocol: "}},
		{"cache", exec, values{"command": []string{"x"}, "cache": "1ms"}, []string{"error cache: cache is shorter than a second"}},
		{"timeout", file, values{"timeout": "0s"}, []string{"error timeout: timeout is shorter than a second"}},
		{"variable", file, values{"env": values{"A=B": "s3cret"}}, []string{`error env: "A=B" is not the name`}},
		{"value", exec, values{"command": []string{"x"}, "env": values{"A": "s3cret\x00"}}, []string{"error env: the value of A holds a zero byte"}},
		{"pattern", file, values{"inherit": []string{"*"}}, []string{`error inherit: "*" is neither`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, err := json.Marshal(c.config)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for i, d := range c.decode(text) {
				line := d.Severity.String() + " " + d.Path.String() + ": " + d.Summary
				if strings.Contains(d.Error(), "s3cret") {
					t.Errorf("a secret stands in %q", d)
				}
				if i < len(c.want) && strings.HasPrefix(line, c.want[i]) {
					line = c.want[i]
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Every attribute is documented; README.md names them all.
func TestSchemaIsDocumented(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	file, err := schema.Of[FileConfig]()
	if err != nil {
		t.Fatal(err)
	}
	exec, err := schema.Of[ExecConfig]()
	if err != nil {
		t.Fatal(err)
	}
	_, sections, _ := strings.Cut(string(readme), "## docker_config")
	ofFile, ofExec, _ := strings.Cut(sections, "## exec")
	for _, c := range []struct {
		schema *schema.Schema
		text   string
	}{{file, ofFile}, {exec, ofExec}} {
		for _, a := range c.schema.Attributes {
			if a.Doc == "" {
				t.Errorf("%s has no doc", a.Name)
			}
			if !strings.Contains(c.text, "\n| `"+a.Name+"` |") {
				t.Errorf("README.md has no row for `%s`", a.Name)
			}
			if a.Name == "env" && !a.Sensitive {
				t.Errorf("env may be printed")
			}
		}
	}
}
