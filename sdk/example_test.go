package sdk_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/sdktest"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// dirPlugin is a whole plugin: a source that reads a directory, whose
// revision is a hash of what is in it. Its main is sdk.Main(dirPlugin).
var dirPlugin = sdk.Plugin{
	Name:    "dir",
	Version: "1.0.0",
	Kinds:   []sdk.Kind{source.New("dir", openDir, sdk.Doc("A directory on this machine."))},
}

type dirConfig struct {
	Path string `hcl:"path" format:"path" doc:"Directory to read."`
}

type dir struct{ path string }

func openDir(_ context.Context, c dirConfig, _ sdk.Env) (dir, error) { return dir{c.Path}, nil }

func (d dir) Resolve(context.Context, source.Revision) (source.Revision, error) {
	id, err := digest(os.DirFS(d.path))
	return source.Revision{ID: id, URL: "file://" + d.path}, err
}

func (d dir) Fetch(ctx context.Context, rev source.Revision, to string) error {
	if now, err := d.Resolve(ctx, rev); err != nil || now.ID != rev.ID {
		return source.ErrGone
	}
	return os.CopyFS(to, os.DirFS(d.path))
}

func TestDir(t *testing.T) {
	tree := t.TempDir()
	if err := os.WriteFile(filepath.Join(tree, "a.yaml"), []byte("kind: A\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	sdktest.Source(t, dirPlugin, "dir", dirConfigJSON{tree})
}
