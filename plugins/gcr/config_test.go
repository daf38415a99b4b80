package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk/schema"
)

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		name   string
		config values
		want   []string // "severity path: summary", each a prefix
	}{
		{"nothing", values{}, nil},
		{"all", values{"key_file": "/k.json", "impersonate": "a@p.iam.gserviceaccount.com", "hosts": []string{"mirror.corp:5000"}, "timeout": "5s"}, nil},
		{"account of a domain", values{"impersonate": "a@project.example.com.iam.gserviceaccount.com"}, nil},
		{"method as account", values{"impersonate": "a@p.iam.gserviceaccount.com:signJwt"}, []string{"error impersonate: "}},
		{"name of an account", values{"impersonate": "reader"}, []string{`error impersonate: "reader" is not the e-mail address`}},
		{"path as account", values{"impersonate": "../x@p.iam.gserviceaccount.com"}, []string{"error impersonate: "}},
		{"two accounts", values{"impersonate": "a@b.c,d@e.f"}, []string{"error impersonate: "}},
		{"url as host", values{"hosts": []string{"ok.corp", "https://mirror.corp"}}, []string{`error hosts[1]: "https://mirror.corp" is not a registry host`}},
		{"pattern as host", values{"hosts": []string{"*.corp"}}, []string{"error hosts[0]: "}},
		{"timeout", values{"timeout": "10ms"}, []string{"error timeout: timeout is shorter than a second"}},
		{"unknown", values{"key": "x"}, []string{"error key: "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, err := json.Marshal(c.config)
			if err != nil {
				t.Fatal(err)
			}
			var config Config
			var got []string
			for i, d := range schema.Decode(text, &config) {
				line := d.Severity.String() + " " + d.Path.String() + ": " + d.Summary
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
	s, err := schema.Of[Config]()
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range s.Attributes {
		if a.Doc == "" {
			t.Errorf("%s has no doc", a.Name)
		}
		if !strings.Contains(string(readme), "| `"+a.Name+"` |") {
			t.Errorf("the table of README.md does not name `%s`", a.Name)
		}
	}
	if len(s.Blocks) > 0 {
		t.Error("there are blocks: check them too")
	}
}
