package manifest

import (
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/sluice-gitops/sluice/core/manifest/internal/files"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// read returns the content of a file that the walk has found.
func read(w *files.Walker, file string, o Options) *content {
	data, err := w.Read(file, o.MaxFileSize)
	if err != nil {
		w.Unread.Store(true)
		return &content{problems: diag.List{unreadableFile(err, o)}}
	}
	kustomization := slices.Contains(kustomizationNames, path.Base(file))
	key := fileKey(data, kustomization)
	if c, ok := o.Cache.get(key); ok {
		return c.(*content)
	}
	c := parse(data, kustomization)
	o.Cache.put(key, c, c.size())
	return c
}

// unreadableFile says why a file was not read.
func unreadableFile(err error, o Options) diag.Diagnostic {
	d := diag.Diagnostic{Summary: "cannot be read", Subject: &diag.Range{}}
	if errors.Is(err, files.ErrTooLarge) {
		d.Summary = fmt.Sprintf("the file has more than %d MiB", o.MaxFileSize>>20)
		if o.MaxFileSize < 1<<20 {
			d.Summary = fmt.Sprintf("the file has more than %d bytes", o.MaxFileSize)
		}
		d.Detail = "Split it, or name it in .sluiceignore if it is not for the cluster."
		return d
	}
	d.Detail = sentence(files.Cause(err))
	return d
}
