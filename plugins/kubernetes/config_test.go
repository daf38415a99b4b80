package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk/schema"
)

func TestConfigValidate(t *testing.T) {
	for name, tt := range map[string]struct {
		config Config
		want   []string // path: part of the summary
	}{
		"empty":     {Config{}, nil},
		"limits":    {Config{Namespaces: []string{"a", "b"}, DefaultNamespace: "b", InventoryNamespace: "a"}, nil},
		"conflict":  {Config{InCluster: true, Context: "x"}, []string{"in_cluster: in_cluster excludes kubeconfig and context"}},
		"bad names": {Config{Namespaces: []string{"a", "B"}}, []string{`namespaces[1]: "B" is not a namespace name`}},
		"outside": {Config{Namespaces: []string{"a"}, DefaultNamespace: "b", InventoryNamespace: "c"},
			[]string{`default_namespace: default_namespace "b" is not one of namespaces`, `inventory_namespace: inventory_namespace "c" is not one of namespaces`}},
	} {
		t.Run(name, func(t *testing.T) {
			got := tt.config.Validate()
			if len(got) != len(tt.want) {
				t.Fatalf("got %v, want %v", got, tt.want)
			}
			for i, d := range got {
				if text := d.Path.String() + ": " + d.Summary; !strings.HasPrefix(text, tt.want[i]) {
					t.Errorf("got %q, want %q", text, tt.want[i])
				}
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
		if !strings.Contains(string(readme), "\n| `"+a.Name+"` |") {
			t.Errorf("README.md has no row for %s", a.Name)
		}
	}
}

func TestConfigDefaults(t *testing.T) {
	for name, tt := range map[string]struct {
		config  Config
		context string
		want    Config
	}{
		"nothing":            {Config{}, "", Config{DefaultNamespace: "default", InventoryNamespace: "sluice", FieldManager: "sluice"}},
		"context":            {Config{}, "dev", Config{DefaultNamespace: "dev", InventoryNamespace: "sluice", FieldManager: "sluice"}},
		"limited":            {Config{Namespaces: []string{"a", "b"}}, "b", Config{Namespaces: []string{"a", "b"}, DefaultNamespace: "b", InventoryNamespace: "a", FieldManager: "sluice"}},
		"context is outside": {Config{Namespaces: []string{"a", "b"}}, "c", Config{Namespaces: []string{"a", "b"}, DefaultNamespace: "a", InventoryNamespace: "a", FieldManager: "sluice"}},
	} {
		t.Run(name, func(t *testing.T) {
			tt.config.defaults(tt.context)
			if diff := cmp.Diff(tt.want, tt.config); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
