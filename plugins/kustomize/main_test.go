package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/renderer"
	"github.com/sluice-gitops/sluice/sdk/schema"
	"github.com/sluice-gitops/sluice/sdk/sdktest"
)

func TestMain(m *testing.M) {
	stayOffline() // as main does
	goleak.VerifyTestMain(m)
}

func TestConformance(t *testing.T) {
	sdktest.Renderer(t, plugin(), "kustomize", nil, "testdata/shop", "overlays/prod", "overlays/staging/kustomization.yaml")
}

// tree writes files, whose names end in @ if the content is the target of a
// link.
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

func newKustomize(t *testing.T) *kustomize {
	t.Helper()
	k, err := open(t.Context(), Config{}, sdk.Env{Log: discard()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

// render returns what was rendered, one file after the other.
func render(ctx context.Context, t *testing.T, dir string, paths ...string) (string, renderer.Result, error) {
	t.Helper()
	out := t.TempDir()
	res, err := newKustomize(t).Render(ctx, renderer.Request{Dir: dir, Paths: paths, Out: out})
	entries, readErr := os.ReadDir(out)
	if readErr != nil {
		t.Fatal(readErr)
	}
	var all []string
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(out, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(data))
	}
	return strings.Join(all, "---\n"), res, err
}

// The README shows a table of arguments once there is one.
func TestTakesNoArguments(t *testing.T) {
	s, err := schema.Of[Config]()
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Attributes)+len(s.Blocks) > 0 {
		t.Errorf("README.md says that there are no arguments; the schema has %+v", s)
	}
}
