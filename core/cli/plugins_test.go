package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// dirPlugin is a source plugin whose repository is a directory.
func dirPlugin() {
	sdk.Main(sdk.Plugin{Name: "dir", Version: "1.0.0", Kinds: []sdk.Kind{source.New("dir", openDir)}})
}

type dirConfig struct {
	Path string `hcl:"path" format:"path" doc:"Directory to read."`
}

type dirSource struct{ path string }

func openDir(_ context.Context, c dirConfig, _ sdk.Env) (source.Source, error) {
	if strings.HasSuffix(c.Path, "forbidden") {
		return nil, diag.Errorf(diag.Attr("path"), "this directory is not for you")
	}
	return dirSource{c.Path}, nil
}

func (d dirSource) Resolve(context.Context, source.Revision) (source.Revision, error) {
	h := sha256.New()
	err := filepath.WalkDir(d.path, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		_, _ = fmt.Fprintf(h, "%s %d\n%s", path, len(data), data)
		return err
	})
	return source.Revision{ID: fmt.Sprintf("%x", h.Sum(nil)[:20]), Ref: "dir"}, err
}

func (d dirSource) Fetch(ctx context.Context, rev source.Revision, dir string) error {
	now, err := d.Resolve(ctx, rev)
	if err != nil {
		return err
	}
	if now.ID != rev.ID {
		return source.ErrGone
	}
	return os.CopyFS(dir, os.DirFS(d.path))
}

// Commit writes edits into the directory, and what they are for into a file
// beside it. It is for one writer at a time, as the daemon is. A file beside it
// makes it fail: NAME.down for a while, NAME.readonly for good.
func (d dirSource) Commit(ctx context.Context, c source.Change) (source.Revision, error) {
	if exists(d.path + ".down") {
		return source.Revision{}, errors.New("the server does not answer")
	}
	if exists(d.path + ".readonly") {
		return source.Revision{}, sdk.Permanent(errors.New("the key may not write"))
	}
	conflict := &source.ConflictError{}
	var good []source.Edit
	for _, e := range c.Edits {
		switch {
		case !fs.ValidPath(e.Path) || e.Path == ".":
			return source.Revision{}, sdk.Permanent(fmt.Errorf("%q is no path of a file", e.Path))
		case d.stands(e.Path, e.New):
		case d.stands(e.Path, e.Old):
			good = append(good, e)
		default:
			conflict.Paths = append(conflict.Paths, e.Path)
		}
	}
	for _, e := range good {
		if err := d.write(e); err != nil {
			return source.Revision{}, err
		}
	}
	if len(good) == 0 && conflict.Paths == nil {
		return d.Resolve(ctx, source.Revision{}) // all of it is there already
	}
	log, err := os.OpenFile(d.path+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return source.Revision{}, err
	}
	_, err = fmt.Fprintf(log, "%s\n\n%s\n----\n", c.Author, c.Message)
	if err = errors.Join(err, log.Close()); err != nil {
		return source.Revision{}, err
	}
	rev, err := d.Resolve(ctx, source.Revision{})
	if err == nil && conflict.Paths != nil {
		if len(good) > 0 {
			conflict.Written = rev
		}
		return source.Revision{}, conflict
	}
	return rev, err
}

// stands reports whether a file has the content; nil is no file.
func (d dirSource) stands(path string, content []byte) bool {
	have, err := os.ReadFile(filepath.Join(d.path, filepath.FromSlash(path)))
	if errors.Is(err, fs.ErrNotExist) {
		return content == nil
	}
	return err == nil && content != nil && bytes.Equal(have, content)
}

func (d dirSource) write(e source.Edit) error {
	path := filepath.Join(d.path, filepath.FromSlash(e.Path))
	if e.New == nil {
		return os.Remove(path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, e.New, 0o644)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// folderPlugin is an applier plugin whose cluster is a directory: a file for
// each object, below a directory for each owner.
func folderPlugin() {
	sdk.Main(sdk.Plugin{Name: "folder", Version: "1.0.0", Kinds: []sdk.Kind{applier.New("folder", openFolder)}})
}

type folderConfig struct {
	Path  string     `hcl:"path" format:"path" doc:"Directory that stands for the cluster."`
	Token sdk.Secret `hcl:"token,optional" doc:"Not needed."`
}

type folder struct{ path string }

func openFolder(_ context.Context, c folderConfig, _ sdk.Env) (applier.Applier, error) {
	return folder{c.Path}, os.MkdirAll(c.Path, 0o755)
}

func (f folder) file(owner string, r applier.Ref) string {
	return filepath.Join(f.path, owner, fmt.Sprintf("%s_%s_%s.json", strings.ToLower(r.Kind), r.Namespace, r.Name))
}

func refOf(object map[string]any) applier.Ref {
	meta, _ := object["metadata"].(map[string]any)
	text := func(v any) string { s, _ := v.(string); return s }
	group, version, ok := strings.Cut(text(object["apiVersion"]), "/")
	if !ok {
		group, version = "", group
	}
	return applier.Ref{Group: group, Version: version, Kind: text(object["kind"]), Namespace: text(meta["namespace"]), Name: text(meta["name"])}
}

func items(path string, visit func(applier.Item, []byte) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var it applier.Item
		if err := json.Unmarshal(lines.Bytes(), &it); err != nil {
			return err
		}
		text, err := json.Marshal(it.Object)
		if err == nil {
			err = visit(it, text)
		}
		if err != nil {
			return err
		}
	}
	return lines.Err()
}

func (f folder) owned(owner string) (map[string]applier.Ref, error) {
	files, err := filepath.Glob(filepath.Join(f.path, owner, "*.json"))
	refs := map[string]applier.Ref{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		var object map[string]any
		if err == nil {
			err = json.Unmarshal(data, &object)
		}
		if err != nil {
			return nil, err
		}
		refs[file] = refOf(object)
	}
	return refs, err
}

func (f folder) Plan(_ context.Context, set applier.Set, emit func(applier.Change)) (applier.Summary, error) {
	left, err := f.owned(set.Owner)
	if err != nil {
		return applier.Summary{}, err
	}
	count := len(left)
	err = items(set.Objects, func(it applier.Item, text []byte) error {
		ref := refOf(it.Object)
		file := f.file(set.Owner, ref)
		c := applier.Change{Ref: ref, File: it.File, Line: it.Line, Action: applier.Create}
		if old, err := os.ReadFile(file); err == nil {
			c.Action = applier.None
			if !bytes.Equal(old, text) {
				c.Action, c.Reason = applier.Update, "file changed"
			}
		}
		delete(left, file)
		emit(c)
		return nil
	})
	for _, ref := range left {
		c := applier.Change{Ref: ref, Action: applier.Prune, Reason: "no longer declared"}
		if !set.Complete {
			c.Action, c.Reason = applier.Kept, "the load was not complete"
		}
		emit(c)
	}
	return applier.Summary{Owned: count}, err
}

func (f folder) Apply(_ context.Context, set applier.Set, emit func(applier.Result)) (applier.Summary, error) {
	if err := os.MkdirAll(filepath.Join(f.path, set.Owner), 0o755); err != nil {
		return applier.Summary{}, err
	}
	err := items(set.Objects, func(it applier.Item, text []byte) error {
		ref := refOf(it.Object)
		file := f.file(set.Owner, ref)
		r := applier.Result{Ref: ref, Outcome: applier.Created, File: it.File, Line: it.Line}
		if old, err := os.ReadFile(file); err == nil {
			r.Outcome = applier.Updated
			if bytes.Equal(old, text) {
				r.Outcome = applier.Unchanged
			}
		}
		err := os.WriteFile(file, text, 0o644)
		emit(r)
		return err
	})
	left, _ := f.owned(set.Owner)
	return applier.Summary{Owned: len(left)}, err
}

func (f folder) Delete(_ context.Context, del applier.Deletion, emit func(applier.Result)) (applier.Summary, error) {
	for _, ref := range del.Refs {
		r := applier.Result{Ref: ref, Outcome: applier.Deleted}
		if err := os.Remove(f.file(del.Owner, ref)); err != nil {
			d := diag.Errorf(nil, "%v", err)
			r.Outcome, r.Diagnostic = applier.Failed, &d
		}
		emit(r)
	}
	left, err := f.owned(del.Owner)
	return applier.Summary{Owned: len(left)}, err
}

func (f folder) Status(_ context.Context, owner string, emit func(applier.ObjectStatus)) error {
	left, err := f.owned(owner)
	for _, ref := range left {
		emit(applier.ObjectStatus{Ref: ref, Health: applier.Current})
	}
	return err
}

func (f folder) Watch(ctx context.Context, owner string, emit func(applier.ObjectStatus)) error {
	if err := f.Status(ctx, owner, emit); err != nil {
		return err
	}
	emit(applier.ObjectStatus{})
	<-ctx.Done()
	return ctx.Err()
}

// Workloads are the objects with a pod template; they roll out at once.
func (f folder) Workloads(_ context.Context, filter applier.WorkloadFilter, emit func(applier.Workload)) error {
	owners, err := os.ReadDir(f.path)
	if err != nil {
		return err
	}
	for _, owner := range owners {
		refs, err := f.owned(owner.Name())
		if err != nil {
			return err
		}
		for _, file := range slices.Sorted(maps.Keys(refs)) {
			w, runs, err := podOf(file)
			if err != nil {
				return err
			}
			ours := (filter.Namespace == "" || filter.Namespace == refs[file].Namespace) && (filter.Owner == "" || filter.Owner == owner.Name())
			if runs && ours {
				w.Ref, w.Owner = refs[file], owner.Name()
				emit(w)
			}
		}
	}
	return nil
}

// podOf reads what an object runs, if it runs something.
func podOf(file string) (applier.Workload, bool, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return applier.Workload{}, false, err
	}
	type container struct{ Name, Image string }
	var object struct {
		Metadata struct{ Annotations map[string]string }
		Spec     struct {
			Template struct {
				Spec struct{ Containers, InitContainers []container }
			}
		}
	}
	if err := json.Unmarshal(data, &object); err != nil {
		return applier.Workload{}, false, fmt.Errorf("%s: %w", file, err)
	}
	w := applier.Workload{
		Annotations: object.Metadata.Annotations,
		Rollout:     applier.Rollout{Phase: applier.RolloutReady, Desired: 1, Updated: 1, Ready: 1, Available: 1},
	}
	pod := object.Spec.Template.Spec
	for _, c := range pod.Containers {
		w.Containers = append(w.Containers, applier.Container{Name: c.Name, Image: c.Image})
	}
	for _, c := range pod.InitContainers {
		w.Containers = append(w.Containers, applier.Container{Name: c.Name, Image: c.Image, Init: true})
	}
	return w, len(w.Containers) > 0, nil
}
