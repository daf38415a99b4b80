// Command sluice-plugin-dir is a third-party source plugin: a directory of
// manifests instead of a repository. Copy it to start a plugin of your own.
package main

import (
	"context"
	"os"

	"golang.org/x/mod/sumdb/dirhash"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/source"
)

func main() {
	sdk.Main(sdk.Plugin{Name: "dir", Version: "1.0.0", Kinds: []sdk.Kind{source.New("dir", open)}})
}

type config struct {
	Path string `hcl:"path" format:"path" doc:"Directory to read."`
}

type dir struct{ path string }

func open(_ context.Context, c config, _ sdk.Env) (source.Source, error) {
	return dir{c.Path}, nil
}

// Resolve hashes the files: a change of any of them is a new revision.
func (d dir) Resolve(context.Context, source.Revision) (source.Revision, error) {
	sum, err := dirhash.HashDir(d.path, "", dirhash.Hash1)
	return source.Revision{ID: sum}, err
}

// Fetch copies the directory, if it is still the revision that is asked for.
func (d dir) Fetch(ctx context.Context, rev source.Revision, to string) error {
	now, err := d.Resolve(ctx, rev)
	if err != nil {
		return err
	}
	if now.ID != rev.ID {
		return source.ErrGone
	}
	return os.CopyFS(to, os.DirFS(d.path))
}
