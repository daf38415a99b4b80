package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/manifest"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

func newManifest(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use:   "manifest",
		Short: "Work on manifests in local files",
	}, newManifestRender(a), newManifestImages(a), newManifestSetImage(a), newManifestAnnotate(a))
}

func newManifestRender(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "render PATH...",
		Short: "Print the objects that a sync would read from files and directories",
		Long: `Print the objects that a sync would read from files and directories, with the
place of each. Bad files are reported on standard error with file:line; the
good objects are printed all the same, and the exit code is then 1.

-o yaml prints documents that can be applied, -o jsonl a line
{"file","line","object"} for each object, -o json an array of these.`,
		Args: needs("PATH", 1, -1),
		RunE: func(cmd *cobra.Command, paths []string) error { return a.render(cmd.Context(), paths) },
	}
}

// rendered is one object with its place.
type rendered struct {
	File   string          `json:"file"`
	Line   int             `json:"line"`
	Object json.RawMessage `json:"object"`
}

func (a *app) render(ctx context.Context, paths []string) error {
	objects := []manifest.Object{}
	complete := true
	for _, path := range distinct(paths) {
		root, res, err := loadPath(ctx, path)
		if err != nil {
			return err
		}
		complete = complete && res.Complete
		a.reportProblems(root, res.Problems)
		for _, s := range res.Skipped {
			_, _ = fmt.Fprintf(a.Err, "skipped %s: %s\n", filepath.Join(root, filepath.FromSlash(s.Path)), s.Reason)
		}
		for _, o := range res.Objects {
			o.File = filepath.Join(root, filepath.FromSlash(o.File))
			objects = append(objects, o)
		}
	}
	if err := a.writeObjects(objects); err != nil {
		return err
	}
	if !complete {
		return exitCode(ExitError)
	}
	return nil
}

// distinct drops paths that name the same file twice.
func distinct(paths []string) []string {
	seen := map[string]bool{}
	var list []string
	for _, path := range paths {
		abs, err := filepath.Abs(path)
		if err != nil {
			abs = path
		}
		if !seen[abs] {
			seen[abs] = true
			list = append(list, path)
		}
	}
	return list
}

// loadPath loads one file or directory. Names in the result are relative to
// the returned root.
func loadPath(ctx context.Context, path string) (string, manifest.Result, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", manifest.Result{}, err
	}
	root, within := path, "."
	if !info.IsDir() {
		root, within = filepath.Split(path)
		root = filepath.Clean(root)
	}
	res, err := manifest.Load(ctx, root, manifest.Options{Paths: []string{within}})
	return root, res, err
}

// reportProblems prints problems with the lines they are about.
func (a *app) reportProblems(root string, problems diag.List) {
	files := map[string][]byte{}
	shown := make(diag.List, 0, len(problems))
	for _, d := range problems {
		if d.Subject != nil {
			r := *d.Subject
			r.File = filepath.Join(root, filepath.FromSlash(r.File))
			d.Subject = &r
			if _, ok := files[r.File]; !ok {
				files[r.File] = snippetSource(r.File)
			}
		}
		shown = append(shown, d)
	}
	config.Render(a.Err, shown, files, a.colour(a.Err))
}

// snippetSource reads a file to quote from; one too large to quote is nil.
func snippetSource(file string) []byte {
	const most = 4 << 20
	if info, err := os.Lstat(file); err != nil || !info.Mode().IsRegular() || info.Size() > most {
		return nil
	}
	src, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	return src
}

func (a *app) writeObjects(objects []manifest.Object) error {
	switch a.output {
	case outputJSONL:
		enc := json.NewEncoder(a.Out)
		for _, o := range objects {
			if err := enc.Encode(rendered{o.File, o.Line, o.JSON}); err != nil {
				return err
			}
		}
		return nil
	case outputYAML:
		for _, o := range objects {
			if _, err := fmt.Fprintf(a.Out, "---\n# %s:%d\n", o.File, o.Line); err != nil {
				return err
			}
			if err := writeYAML(a.Out, o.JSON); err != nil {
				return err
			}
		}
		return nil
	}
	all := make([]rendered, 0, len(objects))
	for _, o := range objects {
		all = append(all, rendered{o.File, o.Line, o.JSON})
	}
	return a.view(all, func(w io.Writer) error {
		return table(w, "OBJECT\tFILE\tNOTE", func(row func(...any)) {
			for _, o := range objects {
				row(o.Ref, fmt.Sprintf("%s:%d", o.File, o.Line), o.Ignore)
			}
		})
	})
}
