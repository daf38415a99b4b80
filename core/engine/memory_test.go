package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/sluice-gitops/sluice/sdk/renderer"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// repo is a source with a history of one.
type repo struct {
	mu       sync.Mutex
	rev      int
	files    map[string]string
	err      error
	resolves int
	fetches  int
	writable bool
	commits  []source.Change // by Commit
	refuse   error           // what Commit says
	marks    []string        // by Mark
}

// commit replaces the files: names of ConfigMaps, or name=content.
func (r *repo) commit(names ...string) {
	files := map[string]string{}
	for _, n := range names {
		name, content, raw := strings.Cut(n, "=")
		if !raw {
			content = fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n", filepath.Base(name))
		}
		files[name+".yaml"] = content
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rev++
	r.files = files
}

func (r *repo) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

func (r *repo) Resolve(context.Context, source.Revision) (source.Revision, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resolves++
	if r.err != nil {
		return source.Revision{}, r.err
	}
	if r.rev == 0 {
		return source.Revision{}, errors.New("the repository is empty")
	}
	return source.Revision{ID: fmt.Sprintf("rev%d", r.rev), Ref: "main"}, nil
}

func (r *repo) Fetch(_ context.Context, rev source.Revision, dir string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fetches++
	if rev.ID != fmt.Sprintf("rev%d", r.rev) {
		return source.ErrGone
	}
	for name, content := range r.files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			return err
		}
	}
	return nil
}

// put changes one file, as another person would.
func (r *repo) put(name, content string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rev++
	r.files = maps.Clone(r.files)
	r.files[name] = content
}

// read returns a file.
func (r *repo) read(name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.files[name]
}

// Commit implements source.Committer.
func (r *repo) Commit(_ context.Context, c source.Change) (source.Revision, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse != nil {
		return source.Revision{}, r.refuse
	}
	files := maps.Clone(r.files)
	var conflict source.ConflictError
	for _, e := range c.Edits {
		if files[e.Path] != string(e.Old) {
			conflict.Paths = append(conflict.Paths, e.Path)
			continue
		}
		files[e.Path] = string(e.New)
	}
	if len(conflict.Paths) == len(c.Edits) {
		return source.Revision{}, &conflict
	}
	r.rev++
	rev := source.Revision{ID: fmt.Sprintf("rev%d", r.rev), Ref: "main"}
	r.commits = append(r.commits, c)
	if c.Branch == "" {
		r.files = files
	}
	if len(conflict.Paths) > 0 {
		conflict.Written = rev
		return source.Revision{}, &conflict
	}
	return rev, nil
}

// Branch implements source.Brancher: the branch has what is read.
func (r *repo) Branch(context.Context, string) (source.Revision, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return source.Revision{ID: fmt.Sprintf("rev%d", r.rev)}, nil
}

// Mark implements source.Marker.
func (r *repo) Mark(_ context.Context, name string, rev source.Revision, _ string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse != nil {
		return r.refuse
	}
	r.marks = append(r.marks, name+" "+rev.ID)
	return nil
}

// written returns the messages of the commits.
func (r *repo) written() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var messages []string
	for _, c := range r.commits {
		messages = append(messages, c.Message)
	}
	return messages
}

// apps is a renderer of files that hold the image of a deployment with their own
// name in the namespace shop. On a file "hangs" it works until it is cut off.
type apps struct{ w *world }

func (a apps) Render(ctx context.Context, req renderer.Request) (renderer.Result, error) {
	a.w.mu.Lock()
	a.w.renders++
	a.w.mu.Unlock()
	if _, err := os.Stat(filepath.Join(req.Dir, "hangs")); err == nil {
		<-ctx.Done()
		return renderer.Result{}, errors.New("stream terminated by RST_STREAM with error code: CANCEL")
	}
	files, err := filepath.Glob(filepath.Join(req.Dir, "*.app"))
	if err != nil {
		return renderer.Result{}, err
	}
	res := renderer.Result{Origins: map[string]renderer.Origin{}}
	for _, file := range files {
		image, err := os.ReadFile(file)
		if err != nil {
			return res, err
		}
		name := strings.TrimSuffix(filepath.Base(file), ".app")
		if len(image) == 0 {
			return res, fmt.Errorf("%s.app: no image", name)
		}
		text := declared("shop", name, string(image), yes...)
		if err := os.WriteFile(filepath.Join(req.Out, name+".yaml"), []byte(text), 0o600); err != nil {
			return res, err
		}
		res.Origins[name+".yaml"] = renderer.Origin{File: name + ".app", Line: 1}
	}
	return res, nil
}

func (a apps) Update(_ context.Context, req renderer.UpdateRequest) (renderer.UpdateResult, error) {
	res := renderer.UpdateResult{Errors: make([]string, len(req.Changes))}
	for i, c := range req.Changes {
		file := c.Workload.Name + ".app"
		old, err := os.ReadFile(filepath.Join(req.Dir, file))
		if err != nil || c.Image == "" {
			res.Errors[i] = "an app has only its image"
			continue
		}
		res.Edits = append(res.Edits, source.Edit{Path: file, Old: old, New: []byte(c.Image)})
	}
	return res, nil
}
