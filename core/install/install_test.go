package install_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/install"
)

var update = flag.Bool("update", false, "write the golden files anew")

func options() install.Options {
	return install.Options{
		Namespace: "sluice", Image: "registry.example.com/sluice:1", Rights: install.Rights{Cluster: true},
		Config: map[string]string{"sluice.hcl": "source \"git\" \"shop\" {\n  url = \"https://git.example.com/shop.git\"\n}\n"},
	}
}

func TestManifests(t *testing.T) {
	tests := map[string]func(o *install.Options){
		"cluster":    func(*install.Options) {},
		"namespaces": func(o *install.Options) { o.Rights = install.Rights{Namespaces: []string{"ops", "shop"}} },
		"elsewhere": func(o *install.Options) {
			o.Rights, o.Storage, o.Secret, o.Listen = install.Rights{}, "1Gi", true, "unix:///run/sluice/api.sock"
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			o := options()
			change(&o)
			got, err := install.Manifests(o)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", name+".yaml")
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestConfigurationArrivesAsItIs, whatever text it is.
func TestConfigurationArrivesAsItIs(t *testing.T) {
	texts := map[string]string{"a.hcl": "\t# tab\r\n x = \"---\"\n\n", "b.hcl": "", "c.pem": "  - leading\n...\n", "d": "é\u2028 \"quoted\" 'too'"}
	o := options()
	o.Config = texts
	out, err := install.Manifests(o)
	if err != nil {
		t.Fatal(err)
	}
	for dec := yaml.NewDecoder(bytes.NewReader(out)); ; {
		var obj struct {
			Kind string
			Data map[string]string
		}
		if err := dec.Decode(&obj); errors.Is(err, io.EOF) {
			t.Fatal("no ConfigMap")
		} else if err != nil {
			t.Fatal(err)
		}
		if obj.Kind == "ConfigMap" {
			if diff := cmp.Diff(texts, obj.Data); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			return
		}
	}
}

func TestMistakes(t *testing.T) {
	tests := map[string]func(o *install.Options){
		`"" is not the name of a namespace`:          func(o *install.Options) { o.Namespace = "" },
		`"a/b" is not the name of a namespace`:       func(o *install.Options) { o.Rights.Namespaces = []string{"a/b"} },
		`"" is not an image`:                         func(o *install.Options) { o.Image = "" },
		`"1 GB" is not a size: want one such as 1Gi`: func(o *install.Options) { o.Storage = "1 GB" },
		`the API listens at "tcp://:80"`:             func(o *install.Options) { o.Listen = "tcp://:80" },
		`there is no configuration`:                  func(o *install.Options) { o.Config = nil },
		`"a/b.hcl" cannot be the name of a file`:     func(o *install.Options) { o.Config["a/b.hcl"] = "" },
		`the configuration is larger than 1024 KiB`:  func(o *install.Options) { o.Config["a"] = strings.Repeat("a", 1<<20) },
	}
	for want, change := range tests {
		o := options()
		change(&o)
		if _, err := install.Manifests(o); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestRightsOfAConfiguration: what its appliers may touch, in the pod's own
// cluster and no other.
func TestRightsOfAConfiguration(t *testing.T) {
	tests := map[string]struct {
		appliers []string // their configurations
		want     install.Rights
	}{
		"no limit":        {[]string{`{}`}, install.Rights{Cluster: true}},
		"limited":         {[]string{`{"namespaces":["b","a"]}`, `{"namespaces":["a"],"in_cluster":true,"context":"x"}`}, install.Rights{Namespaces: []string{"a", "b"}}},
		"one has none":    {[]string{`{"namespaces":["a"]}`, `{"in_cluster":true}`}, install.Rights{Cluster: true, Namespaces: []string{"a"}}},
		"another cluster": {[]string{`{"context":"x"}`, `{"kubeconfig":"/k","namespaces":["a"]}`}, install.Rights{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := &config.Config{}
			for _, text := range tt.appliers {
				c.Appliers = append(c.Appliers, config.Applier{Block: config.Block{Type: "kubernetes"}, Plugin: config.PluginConfig{JSON: json.RawMessage(text)}})
			}
			c.Appliers = append(c.Appliers, config.Applier{Block: config.Block{Type: "folder"}})
			o, err := install.Of(c)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, o.Rights); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
