package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/renderer"
	"github.com/sluice-gitops/sluice/sdk/schema"
	"github.com/sluice-gitops/sluice/sdk/sdktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	sdktest.Renderer(t, plugin(), "exec", nil, "testdata/shop", "apps/a", "apps/patched")
}

// Every attribute is documented; README.md names them all.
func TestSchemaIsDocumented(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	s, err := schema.Of[Config]()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range s.Attributes {
		if a.Doc == "" {
			t.Errorf("%s has no doc", a.Name)
		}
		if !strings.Contains(string(readme), "\n| `"+a.Name+"` |") {
			t.Errorf("README.md has no row for `%s`", a.Name)
		}
		if a.Name == "env" && !a.Sensitive {
			t.Errorf("env may be printed")
		}
	}
}

// newGenerator opens a renderer through its schema, for the defaults.
func newGenerator(t *testing.T, config string) *generator {
	t.Helper()
	var c Config
	if err := schema.Decode([]byte(config), &c).Err(); err != nil {
		t.Fatal(err)
	}
	g, err := open(t.Context(), c, sdk.Env{Log: hclog.NewNullLogger()})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// tree writes files. A name that ends in @ is a link to the content.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	for name, content := range files {
		file := filepath.Join(dir, strings.TrimSuffix(name, "@"))
		err := os.MkdirAll(filepath.Dir(file), 0o700)
		if err == nil && strings.HasSuffix(name, "@") {
			err = os.Symlink(content, file)
		} else if err == nil {
			err = os.WriteFile(file, []byte(content), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// fluxYAML is a .flux.yaml with one generator.
func fluxYAML(command string) string {
	return "version: 1\ncommandUpdated:\n  generators:\n    - command: |\n        " + strings.ReplaceAll(command, "\n", "\n        ") + "\n"
}

// render returns the content of the files that were rendered, by their names.
func render(ctx context.Context, t *testing.T, g *generator, dir string, paths ...string) (map[string]string, renderer.Result, error) {
	t.Helper()
	out := t.TempDir()
	res, err := g.Render(ctx, renderer.Request{Dir: dir, Paths: paths, Out: out})
	files := map[string]string{}
	walkErr := filepath.WalkDir(out, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		rel, relErr := filepath.Rel(out, path)
		if relErr != nil {
			return relErr
		}
		files[rel] = string(data)
		return err
	})
	if walkErr != nil {
		t.Fatal(walkErr)
	}
	return files, res, err
}
