package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/schema"
)

// TestHelmPluginIsMissing loads a configuration without the plugin: it is
// missed only where a block asks for it.
func TestHelmPluginIsMissing(t *testing.T) {
	o := options()
	o.Schemas = func(config.Settings, []config.Plugin) config.SchemaSource {
		return schemas{"source/git": {Attributes: []schema.Attribute{{Name: "url", Type: schema.Type{Kind: schema.String}}}}, "applier/kubernetes": {}}
	}
	const source = "source \"git\" \"a\" { url = \"https://git.example.com/a.git\" }\n"
	tests := map[string]struct {
		src  string
		want []string // summaries
	}{
		"syncs do not need it": {source + "sync \"a\" { source = source.git.a }\n", nil},
		"releases do":          {"release \"a\" {\n  chart { repository = \"oci://registry.example.com/a\" }\n}\n", []string{`No usable plugin for helm "helm"`}},
		"a block does": {source + "applier \"kubernetes\" \"prod\" {}\nhelm \"helm\" \"prod\" {}\nsync \"a\" { source = source.git.a }\n",
			[]string{`No usable plugin for helm "helm"`}},
		"nobody follows an applier": {source + "applier \"kubernetes\" \"a\" {}\napplier \"kubernetes\" \"b\" {}\nsync \"a\" {\n  source = source.git.a\n  applier = applier.kubernetes.a\n}\n",
			[]string{"Unused applier"}},
		"there is nothing to do": {source + "applier \"kubernetes\" \"a\" {}\n", []string{"Unused source", "Nothing to do"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cfg, diags := config.Load([]string{write(t, tt.src)}, o)
			var got []string
			for _, d := range diags {
				got = append(got, d.Summary)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			for _, h := range cfg.Helms {
				if h.Implicit {
					t.Errorf("there is %s without its plugin", h.Address)
				}
			}
		})
	}
}

// broken is a helm plugin that is there, and cannot be used.
type broken struct{ config.SchemaSource }

func (b broken) Schema(kind, typ string) (*schema.Schema, string, error) {
	if kind == "helm" {
		return nil, "", errors.New("helm/helm: plugin helm: its checksum is not that of plugins.lock.hcl")
	}
	return b.SchemaSource.Schema(kind, typ)
}

// TestHelmPluginIsBroken loads a configuration with a plugin that cannot be
// used: it is in nobody's way who does not need it, and said all the same.
func TestHelmPluginIsBroken(t *testing.T) {
	const sync = "source \"git\" \"a\" { url = \"https://git.example.com/a.git\" }\nsync \"a\" { source = source.git.a }\n"
	tests := map[string]struct {
		src  string
		want string
	}{
		"nobody asks for it": {sync, ":2:1: warning: No usable plugin for helm \"helm\": Plugin helm: its checksum is not that of plugins.lock.hcl."},
		"a block does":       {sync + "helm \"helm\" \"a\" {}\n", ":3:6: error: No usable plugin for helm \"helm\": Plugin helm: its checksum is not that of plugins.lock.hcl."},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := options()
			o.Schemas = func(s config.Settings, p []config.Plugin) config.SchemaSource { return broken{installed(s, p)} }
			file := write(t, tt.src)
			cfg, diags := config.Load([]string{file}, o)
			if len(diags) != 1 {
				t.Fatalf("diagnostics %v", diags)
			}
			d := diags[0]
			got := fmt.Sprintf(":%d:%d: %s: %s: %s", d.Subject.Start.Line, d.Subject.Start.Column, d.Severity, d.Summary, d.Detail)
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			for _, h := range cfg.Helms {
				if h.Implicit {
					t.Errorf("there is %s without its plugin", h.Address)
				}
			}
		})
	}
}

// TestFollowing loads appliers with and without a helm block: custom resources
// are followed only where somebody has written one.
func TestFollowing(t *testing.T) {
	const (
		source  = "source \"git\" \"a\" { url = \"https://git.example.com/a.git\" }\n"
		two     = "applier \"kubernetes\" \"prod\" {}\napplier \"kubernetes\" \"stage\" {}\n"
		release = "release \"a\" {\n  applier = applier.kubernetes.prod\n  chart { repository = \"oci://registry.example.com/a\" }\n}\n"
	)
	tests := map[string]struct {
		src      string
		followed []string // appliers
		problems []string // summaries
	}{
		"nothing is written":       {"applier \"kubernetes\" \"prod\" {}\n", nil, []string{"Nothing to do"}},
		"only a sync":              {source + "sync \"a\" { source = source.git.a }\n", nil, nil},
		"only a release":           {two + release, nil, []string{"Unused applier"}},
		"only a helm":              {"helm \"helm\" \"default\" {}\n", []string{"applier.kubernetes.default"}, nil},
		"a helm that is to follow": {two + "helm \"helm\" \"stage\" { applier = applier.kubernetes.stage }\n" + release, []string{"applier.kubernetes.stage"}, nil},
		"a helm that is not to":    {"helm \"helm\" \"default\" { resources = false }\n", nil, []string{"Nothing to do"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cfg, diags := config.Load([]string{write(t, tt.src)}, options())
			var followed, problems []string
			for _, h := range cfg.Helms {
				if h.Resources {
					followed = append(followed, h.Applier)
				}
			}
			for _, d := range diags {
				problems = append(problems, d.Summary)
			}
			if diff := cmp.Diff(tt.followed, followed); diff != "" {
				t.Errorf("followed (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.problems, problems); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// TestHelmInherits loads a helm block and looks where what it has from its
// applier is said to stand.
func TestHelmInherits(t *testing.T) {
	cfg := load(t, `applier "kubernetes" "region" {
  for_each          = { eu = secret("eu-context") }
  context           = each.value
  kubeconfig        = "k"
  default_namespace = "x"
}
helm "helm" "eu" {
  kubeconfig = "own"
}
release "a" {
  chart { repository = "oci://registry.example.com/a" }
}
`, options())
	p := cfg.Helms[0].Plugin
	var got map[string]any
	if err := json.Unmarshal(p.JSON, &got); err != nil {
		t.Fatal(err)
	}
	if got["context"] != "eu-context" || !strings.HasSuffix(fmt.Sprint(got["kubeconfig"]), "/own") || got["default_namespace"] != nil {
		t.Errorf("the plugin gets %v", got)
	}
	if diff := cmp.Diff([]string{"eu-context"}, p.Secrets); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	if at := p.Locate(diag.Attr("context")); at.Start.Line != 3 {
		t.Errorf("the inherited argument stands at %s", at)
	}
	if at := p.Locate(diag.Attr("kubeconfig")); at.Start.Line != 8 {
		t.Errorf("the own argument stands at %s", at)
	}
}
