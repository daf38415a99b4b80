package conformance

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/renderer"
)

// rendererChecks need a tree that the renderer renders without an error; those
// that say nothing of what it renders do without.
var rendererChecks = []Check{
	{"renderer-renders-the-same-twice", withRenderer(rendersTheSameTwice)},
	{"renderer-writes-only-where-told", withRenderer(writesOnlyWhereTold)},
	{"renderer-renders-concurrently", withRenderer(rendersConcurrently)},
	{"renderer-refuses-paths-out-of-the-tree", withRenderer(refusesPathsOut)},
	{"renderer-returns-when-cancelled", rendererReturnsWhenCancelled},
	{"renderer-survives-a-restart", rendererSurvivesARestart},
	{"renderer-answers-each-change", withRenderer(answersEachChange)},
	{"renderer-lacks-what-it-does-not-claim", withRenderer(updatesOnlyIfClaimed)},
}

type openRenderer struct {
	*client.Renderer
	caps  []string
	tree  string
	paths []string
}

// withRenderer runs a check on an open renderer, and closes it.
func withRenderer(check func(t T, r openRenderer)) func(T, *Subject) {
	return func(t T, s *Subject) {
		o := s.open(t)
		defer s.closed(t, o.Instance)
		check(t, s.renderer(t, o))
	}
}

func (s *Subject) renderer(t T, o client.Opened) openRenderer {
	paths := s.Paths
	if len(paths) == 0 {
		paths = []string{"."}
	}
	return openRenderer{client.NewRenderer(s.caller(t, o)), o.Capabilities, s.Tree, paths}
}

// request asks for the sample, into a directory of its own.
func (r openRenderer) request(t T) renderer.Request {
	t.Helper()
	if r.tree == "" {
		t.Skipf("no sample tree")
	}
	return renderer.Request{Dir: r.tree, Paths: r.paths, Out: t.TempDir(), Namespace: "conformance"}
}

// rendered is all that a call has to say.
type rendered struct {
	digest  string
	result  renderer.Result
	entries []string
}

// render renders the sample and fails unless the result is well formed.
func (r openRenderer) render(t T) rendered {
	t.Helper()
	req := r.request(t)
	res, err := r.Render(t.Context(), req)
	if err != nil {
		t.Fatalf("Render: %v", err)
	}
	out := rendered{result: res}
	if out.digest, err = digestTree(req.Out); err != nil {
		t.Fatalf("what was rendered: %v", err)
	}
	err = filepath.WalkDir(req.Out, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		rel, err := filepath.Rel(req.Out, path)
		out.entries = append(out.entries, filepath.ToSlash(rel))
		if !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(rel)) {
			t.Errorf("Render wrote %s, which is neither .yaml nor .json", rel)
		}
		return err
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	wantOrigins(t, out)
	return out
}

// wantOrigins fails unless what is said about places is about files of the
// tree.
func wantOrigins(t T, r rendered) {
	t.Helper()
	for file, o := range r.result.Origins {
		if !slices.Contains(r.entries, file) {
			t.Errorf("there is an origin of %q, which was not rendered", file)
		}
		if !local(o.File) || o.Line < 0 {
			t.Errorf("the origin of %s is %q, line %d; want a path below the tree", file, o.File, o.Line)
		}
		if r.result.Files != nil && !slices.Contains(r.result.Files, o.File) {
			t.Errorf("%s comes from %s, which is not among the files that were read", file, o.File)
		}
	}
	for _, file := range r.result.Files {
		if !local(file) {
			t.Errorf("%q was read; want paths below the tree, with slashes", file)
		}
	}
}

func local(file string) bool { return filepath.IsLocal(filepath.FromSlash(file)) }

func rendersTheSameTwice(t T, r openRenderer) {
	first, second := r.render(t), r.render(t)
	if len(first.entries) == 0 {
		t.Logf("the sample renders to nothing")
	}
	if first.digest != second.digest {
		t.Errorf("rendering twice gave %q and %q", first.entries, second.entries)
	}
	if !maps.Equal(first.result.Origins, second.result.Origins) {
		t.Errorf("rendering twice gave two sets of origins:\n%v\n%v", first.result.Origins, second.result.Origins)
	}
	if a, b := slices.Sorted(slices.Values(first.result.Files)), slices.Sorted(slices.Values(second.result.Files)); !slices.Equal(a, b) {
		t.Errorf("rendering twice read different files:\n%q\n%q", a, b)
	}
}

func writesOnlyWhereTold(t T, r openRenderer) {
	if r.tree == "" {
		t.Skipf("no sample tree")
	}
	before, err := digestTree(r.tree)
	if err != nil {
		t.Fatalf("the sample tree: %v", err)
	}
	r.render(t)
	after, err := digestTree(r.tree)
	if err != nil {
		t.Fatalf("the sample tree: %v", err)
	}
	if before != after {
		t.Errorf("Render changed the tree that it was to read")
	}
}

func rendersConcurrently(t T, r openRenderer) {
	const many = 4
	want := r.render(t)
	var wg sync.WaitGroup
	for range many {
		req := r.request(t)
		wg.Go(func() {
			if _, err := r.Render(t.Context(), req); err != nil {
				t.Errorf("Render: %v", err)
				return
			}
			if digest, err := digestTree(req.Out); err != nil || digest != want.digest {
				t.Errorf("one of %d concurrent calls rendered something else (%v)", many, err)
			}
		})
	}
	wg.Wait()
}

func refusesPathsOut(t T, r openRenderer) {
	parent := t.TempDir()
	tree := filepath.Join(parent, "tree")
	if err := os.MkdirAll(filepath.Join(parent, "beside"), 0o700); err != nil {
		t.Fatalf("%v", err)
	}
	if err := os.Mkdir(tree, 0o700); err != nil {
		t.Fatalf("%v", err)
	}
	for _, path := range []string{"../beside", "/etc", "no/such/path", ".."} {
		_, err := r.Render(t.Context(), renderer.Request{Dir: tree, Paths: []string{path}, Out: t.TempDir()})
		switch {
		case err == nil:
			t.Errorf("Render of %q succeeded", path)
		case !isClean(err):
			t.Errorf("Render of %q: %v; want an error of the plugin", path, err)
		case !strings.Contains(err.Error(), path):
			t.Errorf("Render of %q: the error does not name it: %v", path, err)
		}
	}
}

// rendererReturnsWhenCancelled ends calls early; Close, which waits for them,
// must not take long then.
func rendererReturnsWhenCancelled(t T, s *Subject) {
	o := s.open(t)
	r := s.renderer(t, o)
	if r.tree == "" {
		s.closed(t, o.Instance)
		t.Skipf("no sample tree")
	}
	interrupted(t, func(ctx context.Context, dir string) {
		_, _ = r.Render(ctx, renderer.Request{Dir: r.tree, Paths: r.paths, Out: dir})
	})
	s.closed(t, o.Instance)
}

// rendererSurvivesARestart renders in a new process with an empty cache.
func rendererSurvivesARestart(t T, s *Subject) {
	var before, after rendered
	withRenderer(func(t T, r openRenderer) { before = r.render(t) })(t, s)
	if err := s.Close(); err != nil {
		t.Fatalf("stop the plugin: %v", err)
	}
	withRenderer(func(t T, r openRenderer) { after = r.render(t) })(t, s)
	if before.digest != after.digest {
		t.Errorf("after a restart the sample renders to %q, before to %q", after.entries, before.entries)
	}
}

// answersEachChange asks for two changes that cannot be made.
func answersEachChange(t T, r openRenderer) {
	if !slices.Contains(r.caps, renderer.CanUpdate) {
		t.Skipf("the renderer lacks the capability %s", renderer.CanUpdate)
	}
	req := r.request(t)
	req.Dir = filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(req.Dir, os.DirFS(r.tree)); err != nil {
		t.Fatalf("copy the sample tree: %v", err)
	}
	nobody := applier.Ref{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "conformance", Name: "no-such"}
	res, err := r.Update(t.Context(), renderer.UpdateRequest{Request: req, Changes: []renderer.Change{
		{Workload: nobody, Container: "no-such", Image: "example.com/app:1"},
		{Workload: nobody, Annotation: "sluice.dev/automated"},
	}})
	if err != nil {
		if !isClean(err) {
			t.Errorf("Update: %v; want an error of the plugin", err)
		}
		return
	}
	for i, msg := range res.Errors {
		if msg == "" && i == 0 {
			t.Errorf("Update says that it gave an image to a workload that is not there")
		}
	}
	for _, e := range res.Edits {
		if !local(e.Path) {
			t.Errorf("an edit is of %q; want a path below the tree", e.Path)
		}
	}
}

func updatesOnlyIfClaimed(t T, r openRenderer) {
	_, err := r.Update(t.Context(), renderer.UpdateRequest{Request: renderer.Request{Dir: t.TempDir(), Paths: []string{"."}, Out: t.TempDir()}})
	if claimed := slices.Contains(r.caps, renderer.CanUpdate); claimed == errors.Is(err, client.ErrUnsupported) {
		t.Errorf("%s: claimed is %t, but the call says %v", renderer.CanUpdate, claimed, err)
	}
}
