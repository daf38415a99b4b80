package render

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/renderer"
	"github.com/sluice-gitops/sluice/sdk/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// layered renders as kustomize does, in small: a path holds a file "overlay"
// with lines "base DIR", "image NAME TAG" and "prefix TEXT"; the manifests
// are the base's, with images and names changed. What it reads, and where
// objects come from, it tells.
type layered struct {
	mu    sync.Mutex
	calls int
	fail  error
}

func (l *layered) Render(_ context.Context, req renderer.Request) (renderer.Result, error) {
	l.mu.Lock()
	l.calls++
	l.mu.Unlock()
	res := renderer.Result{Origins: map[string]renderer.Origin{}}
	for _, p := range req.Paths {
		if err := l.path(req, p, &res); err != nil {
			return res, err
		}
	}
	return res, l.fail
}

func (l *layered) path(req renderer.Request, p string, res *renderer.Result) error {
	read := func(file string) (string, error) {
		data, err := os.ReadFile(filepath.Join(req.Dir, file))
		res.Files = append(res.Files, file)
		return string(data), err
	}
	text, err := read(filepath.Join(p, "kustomization.yaml"))
	if err != nil {
		return err
	}
	var base, prefix string
	images := map[string]string{}
	name := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch key, value, _ := strings.Cut(strings.TrimPrefix(line, "- "), ": "); key {
		case "namePrefix":
			prefix = value
		case "base":
			base = filepath.Join(p, value)
		case "name":
			name = value
		case "newTag":
			images[name] = value
		}
	}
	entries, err := os.ReadDir(filepath.Join(req.Dir, base))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".yaml" {
			continue
		}
		file := filepath.Join(base, e.Name())
		text, err := read(file)
		if err != nil {
			return err
		}
		if strings.Contains(text, "broken") {
			return diag.Diagnostic{Summary: "broken", Subject: &diag.Range{File: file}}
		}
		text = strings.Replace(text, "metadata: {name: ", "metadata: {name: "+prefix, 1)
		for name, tag := range images {
			if i := strings.Index(text, "image: "+name+":"); i >= 0 {
				tag, _, _ = strings.Cut(strings.Trim(tag, `"`), " ")
				tag = strings.Trim(tag, `"`)
				end := i + strings.IndexByte(text[i:], '\n')
				text = text[:i] + "image: " + name + ":" + tag + text[end:]
			}
		}
		out := strings.ReplaceAll(p, "/", "-") + "-" + e.Name()
		res.Origins[out] = renderer.Origin{File: file, Line: 1}
		if err := os.WriteFile(filepath.Join(req.Out, out), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

const deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: NAME}\nspec:\n  template:\n    spec:\n      containers:\n      - name: main\n        image: IMAGE\n"

func manifestOf(name, image string) string {
	return strings.NewReplacer("NAME", name, "IMAGE", image).Replace(deployment)
}

func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func shop(t *testing.T) string {
	return tree(t, map[string]string{
		"prod/base/web.yaml":      manifestOf("web", "example.com/web:1"),
		"prod/base/worker.yaml":   manifestOf("worker", "example.com/web:1"),
		"prod/base/db.yaml":       "# the database\n" + manifestOf("db", "postgres:17 # pinned"),
		"prod/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamePrefix: prod-\n# base: base\nbase: base\nimages:\n- name: example.com/web\n  newTag: 2 # tested\n",
	})
}

func TestRun(t *testing.T) {
	out := filepath.Join(t.TempDir(), "deep", "out")
	r, err := Run(t.Context(), &layered{}, shop(t), []string{"prod"}, "shop", out)
	if err != nil {
		t.Fatal(err)
	}
	if f, line := r.Origin("prod-web.yaml", 3); f != "prod/base/web.yaml" || line != 1 {
		t.Errorf("origin %s:%d", f, line)
	}
	found, err := r.Declared(t.Context(), edit.TreeOptions{Options: edit.Options{Namespace: "shop"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range found.Workloads {
		got = append(got, w.ID+" "+w.File+" "+w.Containers[0].Image)
	}
	want := []string{"shop:deployment/prod-db prod/base/db.yaml postgres:17", "shop:deployment/prod-web prod/base/web.yaml example.com/web:2", "shop:deployment/prod-worker prod/base/worker.yaml example.com/web:2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("declared (-want +got):\n%s", diff)
	}
}

// After a failure there is nothing that somebody could take for everything.
func TestFailedRunLeavesNothing(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	_, err := Run(t.Context(), &layered{fail: errors.New("no")}, shop(t), []string{"prod"}, "", out)
	entries, readErr := os.ReadDir(out)
	if err == nil || readErr != nil || len(entries) > 0 {
		t.Errorf("%v, %v, %v", err, readErr, entries)
	}
	for name, res := range map[string]renderer.Result{
		"file":       {Files: []string{"../x"}},
		"origin":     {Origins: map[string]renderer.Origin{"x.yaml": {File: "/etc/passwd"}}},
		"diagnostic": {Diagnostics: diag.List{{Subject: &diag.Range{File: "../../x"}}}},
	} {
		if _, err := Run(t.Context(), liar{res}, shop(t), nil, "", out); err == nil || !strings.Contains(err.Error(), "not in the tree") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// liar says what it is told.
type liar struct{ res renderer.Result }

func (l liar) Render(context.Context, renderer.Request) (renderer.Result, error) { return l.res, nil }

func TestStoreRendersOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s, err := NewStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	l := &layered{}
	root := shop(t)
	key := Key{Tree: "sha256:1", Renderer: "kustomize 1 {}", Paths: []string{"prod"}, Namespace: "shop"}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			r, release, err := s.Render(t.Context(), key, l, root)
			if err != nil || len(r.Origins) != 3 {
				t.Errorf("%+v, %v", r, err)
				return
			}
			release()
			release() // the second is none
		})
	}
	wg.Wait()
	if l.calls != 1 {
		t.Errorf("rendered %d times", l.calls)
	}
	for i, other := range []Key{{"sha256:2", key.Renderer, key.Paths, "shop"}, {key.Tree, "kustomize 2 {}", key.Paths, "shop"}, {key.Tree, key.Renderer, []string{"prod", "prod"}, "shop"}, {key.Tree, key.Renderer, key.Paths, ""}, key} {
		_, release, err := s.Render(t.Context(), other, l, root)
		if err != nil {
			t.Fatal(err)
		}
		release()
		if want := min(i+2, 5); l.calls != want {
			t.Errorf("after %+v: rendered %d times, want %d", other, l.calls, want)
		}
	}
}

func TestStoreForgetsFailuresAndTheOldest(t *testing.T) {
	s, err := NewStore(filepath.Join(t.TempDir(), "store"))
	if err != nil {
		t.Fatal(err)
	}
	l := &layered{fail: errors.New("not now")}
	root := shop(t)
	key := Key{Tree: "first", Paths: []string{"prod"}}
	if _, _, err := s.Render(t.Context(), key, l, root); err == nil {
		t.Error("no error")
	}
	l.fail = nil
	held, release, err := s.Render(t.Context(), key, l, root)
	if err != nil {
		t.Fatal(err)
	}
	for i := range keepIdle + 20 {
		_, release, err := s.Render(t.Context(), Key{Tree: string(rune('A' + i)), Paths: []string{"prod"}}, l, root)
		if err != nil {
			t.Fatal(err)
		}
		release()
	}
	if _, err := os.Stat(held.Dir); err != nil {
		t.Errorf("what is in use: %v", err)
	}
	release()
	entries, err := os.ReadDir(s.dir)
	if err != nil || len(entries) != keepIdle {
		t.Errorf("%d directories are left, %v", len(entries), err)
	}
}

func apply(t *testing.T, r renderer.Renderer, root string, edits ...edit.Edit) (map[string]string, []error) {
	t.Helper()
	work := filepath.Join(t.TempDir(), "work")
	changes, errs := Apply(t.Context(), r, root, []string{"prod"}, edit.Options{Namespace: "shop"}, work, edits)
	if _, err := os.Stat(work); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the work directory is still there: %v", err)
	}
	got := map[string]string{}
	for _, c := range changes {
		old, err := os.ReadFile(filepath.Join(root, c.Path))
		if err == nil && string(old) != string(c.Old) {
			t.Errorf("%s: old content %q", c.Path, c.Old)
		}
		got[c.Path] = string(c.New)
	}
	return got, errs
}

func image(workload, image string) edit.Edit {
	return edit.Edit{Workload: workload, Container: "main", Image: image}
}

func TestApply(t *testing.T) {
	root := shop(t)
	kustomization := func(tag string) string {
		data, err := os.ReadFile(filepath.Join(root, "prod/kustomization.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Replace(string(data), "newTag: 2", "newTag: "+tag, 1)
	}
	web, worker, db := "shop:deployment/prod-web", "shop:deployment/prod-worker", "deployment/prod-db"
	for name, c := range map[string]struct {
		edits   []edit.Edit
		changes map[string]string
		errs    []string
	}{
		"both that share an entry": {[]edit.Edit{image(web, "example.com/web:3"), image(worker, "example.com/web:3")}, map[string]string{"prod/kustomization.yaml": kustomization(`"3"`)}, []string{"", ""}},
		"one of two":               {[]edit.Edit{image(web, "example.com/web:3")}, map[string]string{}, []string{"Deployment.apps/prod-worker would have another spec.template.spec.containers.0.image"}},
		"where it stands":          {[]edit.Edit{image(db, "postgres:18")}, map[string]string{"prod/base/db.yaml": "# the database\n" + manifestOf("db", "postgres:18 # pinned")}, []string{""}},
		"annotation": {[]edit.Edit{{Workload: db, Set: map[string]string{"sluice.dev/automated": "true"}}}, map[string]string{
			"prod/base/db.yaml": "# the database\n" + strings.Replace(manifestOf("db", "postgres:17 # pinned"), "{name: db}", `{name: db, annotations: {sluice.dev/automated: "true"}}`, 1)}, []string{""}},
		"as it is":         {[]edit.Edit{image(db, "postgres:17")}, map[string]string{}, []string{""}},
		"not there":        {[]edit.Edit{image("shop:deployment/other", "x:1")}, map[string]string{}, []string{"not found"}},
		"other image":      {[]edit.Edit{{Workload: db, Container: "main", Image: "postgres:18", From: "postgres:16"}}, map[string]string{}, []string{"the image is postgres:17 and not postgres:16"}},
		"entry":            {[]edit.Edit{{Kustomize: "example.com/web", Image: "example.com/web:4"}}, map[string]string{"prod/kustomization.yaml": kustomization(`"4"`)}, []string{""}},
		"bad beside good":  {[]edit.Edit{image(web, "example.com/web:3"), image(db, "postgres:18"), image("deployment/none", "x:1")}, map[string]string{"prod/base/db.yaml": "# the database\n" + manifestOf("db", "postgres:18 # pinned")}, []string{"would have another spec.template.spec.containers.0.image", "", "not found"}},
		"would not render": {[]edit.Edit{image(db, "broken:1"), image(web, "example.com/web:3"), image(worker, "example.com/web:3")}, map[string]string{"prod/kustomization.yaml": kustomization(`"3"`)}, []string{"nothing can be rendered any more", "", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			got, errs := apply(t, &layered{}, root, c.edits...)
			if diff := cmp.Diff(c.changes, got); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			for i, want := range c.errs {
				if err := errs[i]; (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
					t.Errorf("edit %d: %v, want %q", i, err, want)
				}
			}
		})
	}
}

// Many edits take two renderings, the one before and the one after.
func TestManyEditsAreRenderedTogether(t *testing.T) {
	files := map[string]string{"prod/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nbase: base\n"}
	var edits []edit.Edit
	for i := range 100 {
		name := "w" + strings.Repeat("x", i)
		files["prod/base/"+name+".yaml"] = manifestOf(name, "example.com/"+name+":1")
		edits = append(edits, image("shop:deployment/"+name, "example.com/"+name+":2"))
	}
	l := &layered{}
	changes, errs := apply(t, l, tree(t, files), edits...)
	if err := errors.Join(errs...); err != nil || len(changes) != len(edits) {
		t.Errorf("%d changes, %v", len(changes), err)
	}
	if l.calls != 2 {
		t.Errorf("rendered %d times", l.calls)
	}
}

// What stands outside of the paths gets entries in the overlay: as many as it
// takes, in two renderings.
func TestManyEntriesAreRenderedTogether(t *testing.T) {
	const head = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nbase: ../base\n"
	files := map[string]string{"prod/kustomization.yaml": head}
	var edits []edit.Edit
	want := head + "images:\n"
	for i := range 100 {
		name := fmt.Sprintf("w%03d", i)
		files["base/"+name+".yaml"] = manifestOf(name, "example.com/"+name+":1")
		edits = append(edits, image("shop:deployment/"+name, "example.com/"+name+":v2"))
		want += "- name: example.com/" + name + "\n  newTag: v2\n"
	}
	l := &layered{}
	changes, errs := apply(t, l, tree(t, files), edits...)
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(map[string]string{"prod/kustomization.yaml": want}, changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if l.calls != 2 {
		t.Errorf("rendered %d times", l.calls)
	}
}

// updating is layered with an Updater that knows the file of each workload.
type updating struct {
	layered
	wrong bool // it changes too much
}

func (u *updating) Update(_ context.Context, req renderer.UpdateRequest) (renderer.UpdateResult, error) {
	res := renderer.UpdateResult{Errors: make([]string, len(req.Changes))}
	for i, c := range req.Changes {
		file := "base/" + strings.TrimPrefix(c.Workload.Name, "prod-") + ".yaml"
		old, err := os.ReadFile(filepath.Join(req.Dir, file))
		switch {
		case err != nil || c.Workload.Namespace != "shop":
			return res, err
		case c.Annotation != "":
			res.Errors[i] = "no annotations"
			continue
		}
		now := manifestOf(strings.TrimPrefix(c.Workload.Name, "prod-"), c.Image)
		if u.wrong && strings.HasSuffix(c.Image, ":bad") {
			now += "---\n" + manifestOf("another", "x:1")
		}
		res.Edits = append(res.Edits, source.Edit{Path: file, Old: old, New: []byte(now)})
		if err := os.WriteFile(filepath.Join(req.Dir, "junk"), nil, 0o600); err != nil {
			return res, err
		}
	}
	return res, nil
}

func TestApplyByTheRenderer(t *testing.T) {
	root := tree(t, map[string]string{
		"base/a.yaml": manifestOf("a", "a:1"), "base/b.yaml": manifestOf("b", "b:1"),
		"prod/kustomization.yaml": "namePrefix: prod-\nbase: ../base\n",
	})
	a, b := "shop:deployment/prod-a", "shop:deployment/prod-b"
	got, errs := apply(t, &updating{}, root, image(a, "a:2"), edit.Edit{Workload: b, Set: map[string]string{"k": "v"}}, image(b, "b:2"))
	want := map[string]string{"base/a.yaml": manifestOf("a", "a:2"), "base/b.yaml": manifestOf("b", "b:2")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if errs[0] != nil || errs[2] != nil || errs[1] == nil || errs[1].Error() != "no annotations" {
		t.Errorf("errors %v", errs)
	}
	got, errs = apply(t, &updating{wrong: true}, root, image(a, "a:bad"), image(b, "b:2"))
	delete(want, "base/a.yaml")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	if errs[1] != nil || errs[0] == nil || !strings.Contains(errs[0].Error(), "Deployment.apps/another would be new") {
		t.Errorf("errors %v", errs)
	}
}

func TestApplyFailsWithTheRenderer(t *testing.T) {
	root := shop(t)
	_, errs := apply(t, &layered{fail: errors.New("no")}, root, image("deployment/prod-db", "postgres:18"), image("deployment/prod-web", "example.com/web:3"))
	if errs[0] == nil || errs[1] == nil {
		t.Errorf("errors %v", errs)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("stopped")
	cancel(why)
	if _, errs := Apply(ctx, &layered{}, root, []string{"prod"}, edit.Options{}, filepath.Join(t.TempDir(), "w"), []edit.Edit{image("deployment/prod-db", "x:1")}); !errors.Is(errs[0], why) {
		t.Errorf("errors %v", errs)
	}
}
