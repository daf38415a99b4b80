package engine

import (
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/manifest"
	"github.com/sluice-gitops/sluice/core/release/resource"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// filedResource is a custom resource that a file declares.
type filedResource struct {
	item   applier.Item
	parsed parsed
}

// parseFiled reads what the resources of a sync declare, with the places in the
// files of dir, which is read when somebody asks for one.
func parseFiled(cfg config.Sync, dir string, list []filedResource, o resource.Options) {
	read := reader(dir)
	for i := range list {
		p := &list[i].parsed
		locate := locateIn(read, list[i].item)
		if cfg.Renderer != "" { // whatever made the fields what they are
			locate = locateIn(func(string) []byte { return nil }, list[i].item)
		}
		p.resource, p.err = resource.ParseFile(p.Object, o, locate)
		p.resource.Ref = p.Ref
	}
}

// locateIn tells where the fields of an object stand in its file. Where that
// cannot be told, it is where the object begins.
func locateIn(read func(file string) []byte, item applier.Item) resource.Locate {
	fields := sync.OnceValue(func() manifest.Fields {
		f, _ := manifest.FieldsAt(read(item.File), item.Line) // it knows of no place otherwise
		return f
	})
	return func(path diag.Path) *diag.Range {
		at, ok := fields().Place(path)
		if !ok {
			at = diag.Pos{Line: item.Line}
		}
		return &diag.Range{File: item.File, Start: at, End: at}
	}
}

// reader reads files of a tree, each once: many objects may stand in one. What
// cannot be read any more is empty.
func reader(dir string) func(file string) []byte {
	texts := map[string][]byte{}
	return func(file string) []byte {
		text, known := texts[file]
		if !known {
			text, _ = readIn(dir, file)
			texts[file] = text
		}
		return text
	}
}

// readIn reads a file of a tree, and none outside of it.
func readIn(dir, file string) (text []byte, err error) {
	f, err := os.OpenInRoot(dir, filepath.FromSlash(file))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	return io.ReadAll(f)
}
