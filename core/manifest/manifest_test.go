package manifest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/core/manifest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tree writes files by path below a new directory. A value that begins with ->
// is a symbolic link.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, link := strings.CutPrefix(text, "->"); link {
			err = os.Symlink(target, p)
		} else {
			err = os.WriteFile(p, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func load(t *testing.T, dir string, o manifest.Options) manifest.Result {
	t.Helper()
	r, err := manifest.Load(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// describe prints a result for comparison: a line for each object, problem and
// skipped path.
func describe(r manifest.Result) (lines []string) {
	for _, o := range r.Objects {
		line := fmt.Sprintf("%s:%d %s", o.File, o.Line, o.Ref)
		if o.Ignore != "" {
			line += " ignored by " + o.Ignore
		}
		lines = append(lines, line)
	}
	for _, p := range r.Problems {
		lines = append(lines, fmt.Sprintf("%s: %s: %s", p.Severity, p.Subject, p.Summary))
	}
	for _, s := range r.Skipped {
		lines = append(lines, fmt.Sprintf("skipped %s: %s", s.Path, s.Reason))
	}
	if !r.Complete {
		lines = append(lines, "partial")
	}
	return lines
}

// cm is a ConfigMap of that name.
func cm(name string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\n"
}

func TestWalk(t *testing.T) {
	tests := map[string]struct {
		files map[string]string
		paths []string
		want  []string
	}{
		"nothing": {nil, nil, nil},
		"by name, three kinds of files, none else": {
			map[string]string{"b.yml": cm("b"), "a.yaml": cm("a"), "c.json": `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}}`,
				"README.md": "{{", "d.yaml.bak": "{{", "sub/z.yaml": cm("z"), "a/x.yaml": cm("x")},
			nil,
			[]string{"a/x.yaml:1 ConfigMap/x", "a.yaml:1 ConfigMap/a", "b.yml:1 ConfigMap/b", "c.json:1 ConfigMap/c", "sub/z.yaml:1 ConfigMap/z"},
		},
		"paths in their order": {
			map[string]string{"a/a.yaml": cm("a"), "b/b.yaml": cm("b"), "c/c.yaml": cm("c")},
			[]string{"c/", "./a/a.yaml"},
			[]string{"c/c.yaml:1 ConfigMap/c", "a/a.yaml:1 ConfigMap/a"},
		},
		"overlapping paths": {
			map[string]string{"a/b/b.yaml": cm("b"), "a/a.yaml": cm("a")},
			[]string{"a/b", "a", "a/a.yaml"},
			[]string{"a/b/b.yaml:1 ConfigMap/b", "a/a.yaml:1 ConfigMap/a"},
		},
		"missing and outward paths": {
			map[string]string{"a.yaml": cm("a")},
			[]string{"a.yaml", "b", "../x", "/etc"},
			[]string{"a.yaml:1 ConfigMap/a", "error: b: no such path in the source", "error: ../x: the path leads out of the tree",
				"error: /etc: the path leads out of the tree", "partial"},
		},
		"hidden ones": {
			map[string]string{".github/a.yaml": cm("a"), ".b.yaml": cm("b"), ".c/d.yaml": cm("d")},
			[]string{".", ".c"},
			[]string{".c/d.yaml:1 ConfigMap/d"},
		},
		"charts": {
			map[string]string{
				"with-values/Chart.yaml": "x", "with-values/values.yaml": "{{", "with-values/crds/a.yaml": "{{",
				"with-templates/Chart.yaml": "x", "with-templates/templates/a.yaml": "{{",
				"neither/Chart.yaml": cm("c"), "neither/a.yaml": cm("a")},
			nil,
			[]string{"neither/Chart.yaml:1 ConfigMap/c", "neither/a.yaml:1 ConfigMap/a",
				"skipped with-templates: it is a Helm chart", "skipped with-values: it is a Helm chart"},
		},
		"a chart as path": {
			map[string]string{"chart/Chart.yaml": "x", "chart/values.yaml": "x"},
			[]string{"chart"},
			[]string{"warning: chart: nothing is loaded from chart", "skipped chart: it is a Helm chart"},
		},
		"kustomizations": {
			map[string]string{
				"base/kustomization.yaml":   "resources: [a.yaml]",
				"base/a.yaml":               cm("a"),
				"overlay/kustomization.yml": "resources: [../base]\nnamePrefix: x-",
				"other/k.yaml":              "# note\napiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches: []",
			},
			nil,
			[]string{"base/a.yaml:1 ConfigMap/a",
				"warning: other/k.yaml:2:1: the kustomization is not evaluated",
				"warning: overlay/kustomization.yml:1:1: the kustomization is not evaluated",
				"skipped base/kustomization.yaml: it is a kustomization", "skipped other/k.yaml: it is a kustomization",
				"skipped overlay/kustomization.yml: it is a kustomization"},
		},
		"ignore files": {
			map[string]string{
				".sluiceignore":    "# not for the cluster\nvalues*.yaml\n/only-here.yaml\nci/\n!keep/values.yaml\n",
				"a.yaml":           cm("a"),
				"values-x.yaml":    "{{",
				"only-here.yaml":   "{{",
				"s/only-here.yaml": cm("s"),
				"s/ci/x.yaml":      "{{",
				"keep/values.yaml": cm("keep"),
				"s/.sluiceignore":  "b.yaml\r\n",
				"s/b.yaml":         "{{",
				"b.yaml":           cm("b"),
			},
			nil,
			[]string{"a.yaml:1 ConfigMap/a", "b.yaml:1 ConfigMap/b", "keep/values.yaml:1 ConfigMap/keep", "s/only-here.yaml:1 ConfigMap/s",
				"skipped only-here.yaml: a .sluiceignore names it", "skipped s/b.yaml: a .sluiceignore names it",
				"skipped s/ci: a .sluiceignore names it", "skipped values-x.yaml: a .sluiceignore names it"},
		},
		"ignore files above the path": {
			map[string]string{".sluiceignore": "app/x", "app/x/a.yaml": "{{", "app/b.yaml": cm("b")},
			[]string{"app"},
			[]string{"app/b.yaml:1 ConfigMap/b", "skipped app/x: a .sluiceignore names it"},
		},
		"a bad pattern": {
			map[string]string{".sluiceignore": "ok\n[z-a]\n", "a.yaml": cm("a")},
			nil,
			[]string{"a.yaml:1 ConfigMap/a", "error: .sluiceignore:2: the pattern is not valid", "partial"},
		},
		"links within the tree": {
			map[string]string{"real/a.yaml": cm("a"), "b/link.yaml": "->../real/a.yaml", "c": "->real", "d.yaml": "->real/a.yaml", "readme.md": "->nowhere"},
			nil,
			[]string{"b/link.yaml:1 ConfigMap/a"},
		},
		"links that are no good": {
			map[string]string{"a.yaml": cm("a"), "up.yaml": "->../x.yaml", "abs.yaml": "->/etc/passwd", "gone.yaml": "->gone", "etc": "->/etc",
				"loop.yaml": "->loop.yaml", "sub/root": "->..", "sub/b.yaml": cm("b"), "key.pem": "->/etc/key.pem",
				"was.yaml": "->.outside-of-the-tree/link-to-..%2F..%2Fx.yaml"},
			nil,
			[]string{"a.yaml:1 ConfigMap/a", "sub/b.yaml:1 ConfigMap/b",
				"error: abs.yaml: the symbolic link to /etc/passwd leads out of the tree",
				"error: etc: the symbolic link to /etc leads out of the tree",
				"error: gone.yaml: the symbolic link to gone leads nowhere",
				"error: key.pem: the symbolic link to /etc/key.pem leads out of the tree",
				"error: loop.yaml: the symbolic link to loop.yaml leads nowhere",
				"error: up.yaml: the symbolic link to ../x.yaml leads out of the tree",
				"error: was.yaml: the symbolic link to ../../x.yaml leads out of the tree",
				"partial"},
		},
		"a path through a link": {
			map[string]string{"real/d/a.yaml": cm("a"), "l": "->real"},
			[]string{"l/d", "real"},
			[]string{"l/d/a.yaml:1 ConfigMap/a"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := describe(load(t, tree(t, tt.files), manifest.Options{Paths: tt.paths}))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A kustomization that would change something says what builds it.
func TestKustomizationNamesTheRenderer(t *testing.T) {
	res := load(t, tree(t, map[string]string{"kustomization.yaml": "namePrefix: x-"}), manifest.Options{})
	if len(res.Problems) != 1 || !strings.HasSuffix(res.Problems[0].Detail, `give the sync a renderer "kustomize".`) {
		t.Errorf("problems %v", res.Problems)
	}
}

func TestRoot(t *testing.T) {
	dir := tree(t, map[string]string{"a.yaml": cm("a"), "b.yaml": cm("b")})
	if diff := cmp.Diff([]string{"b.yaml:1 ConfigMap/b"}, describe(load(t, filepath.Join(dir, "b.yaml"), manifest.Options{}))); diff != "" {
		t.Errorf("a file as root:\n%s", diff)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if got := load(t, link, manifest.Options{}); len(got.Objects) != 2 {
		t.Errorf("a link as root: %v", describe(got))
	}
	if _, err := manifest.Load(t.Context(), filepath.Join(dir, "nothing"), manifest.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no root: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("new revision"))
	if _, err := manifest.Load(ctx, dir, manifest.Options{}); err == nil || !strings.Contains(err.Error(), "new revision") {
		t.Errorf("cancelled: %v", err)
	}
}

func TestFilesThatAreNone(t *testing.T) {
	dir := tree(t, map[string]string{"a.yaml": cm("a"), "dir.yaml/b.yaml": cm("b"), "big.yaml": cm("big") + "# " + strings.Repeat("x", 2000)})
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := describe(load(t, dir, manifest.Options{MaxFileSize: 1000, Cache: manifest.NewCache(1 << 20), Tree: "t"}))
	want := []string{"a.yaml:1 ConfigMap/a", "dir.yaml/b.yaml:1 ConfigMap/b",
		"error: pipe.yaml: not a file but a named pipe", "error: big.yaml: the file has more than 1000 bytes", "partial"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if os.Getuid() == 0 {
		return // may read everything
	}
	if err := os.Chmod(filepath.Join(dir, "a.yaml"), 0); err != nil {
		t.Fatal(err)
	}
	if got := describe(load(t, filepath.Join(dir, "a.yaml"), manifest.Options{})); got[0] != "error: a.yaml: cannot be read" {
		t.Errorf("unreadable: %v", got)
	}
}

// The bad input of 50 MB is refused without being read into memory whole.
func TestHugeFile(t *testing.T) {
	dir := tree(t, map[string]string{"a.yaml": cm("a"), "huge.yaml": ""})
	if err := os.Truncate(filepath.Join(dir, "huge.yaml"), 50<<20); err != nil {
		t.Fatal(err)
	}
	want := []string{"a.yaml:1 ConfigMap/a", "error: huge.yaml: the file has more than 10 MiB", "partial"}
	if diff := cmp.Diff(want, describe(load(t, dir, manifest.Options{}))); diff != "" {
		t.Error(diff)
	}
}

func TestDuplicates(t *testing.T) {
	deploy := func(version, ns, extra string) string {
		return fmt.Sprintf("apiVersion: %s\nkind: Deployment\nmetadata: {name: web, namespace: %q}\n%s---\n", version, ns, extra)
	}
	dir := tree(t, map[string]string{
		"a.yaml": deploy("apps/v1", "shop", "") + deploy("apps/v1", "ops", "") + deploy("extensions/v1", "shop", ""),
		"b.yaml": deploy("apps/v1beta1", "shop", "spec: {}\n") + deploy("apps/v1", "ops", ""),
	})
	r := load(t, dir, manifest.Options{})
	want := []string{"a.yaml:1 shop:Deployment.apps/web", "a.yaml:5 ops:Deployment.apps/web", "a.yaml:9 shop:Deployment.extensions/web",
		"error: b.yaml:1: shop:Deployment.apps/web is declared twice", "warning: b.yaml:6: ops:Deployment.apps/web is declared twice", "partial"}
	if diff := cmp.Diff(want, describe(r)); diff != "" {
		t.Error(diff)
	}
	if got := r.Problems[0].Detail; !strings.Contains(got, "first at a.yaml:1") {
		t.Errorf("the first place is not named: %s", got)
	}
}

func TestWriteItems(t *testing.T) {
	dir := tree(t, map[string]string{
		"a.yaml":   "# comment\nmetadata: {name: a, annotations: {fluxcd.io/ignore: \"true\"}}\nkind: ConfigMap\napiVersion: v1\ndata: {html: <a&b>}\n",
		"q\".yaml": cm("b"),
	})
	r := load(t, dir, manifest.Options{})
	path := filepath.Join(t.TempDir(), "objects.jsonl")
	if err := os.WriteFile(path, []byte(strings.Repeat("old", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteItems(path); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"file":"a.yaml","line":2,"ignore":"annotation fluxcd.io/ignore=true in the file","object":{"apiVersion":"v1","data":{"html":"<a&b>"},"kind":"ConfigMap","metadata":{"annotations":{"fluxcd.io/ignore":"true"},"name":"a"}}}
{"file":"q\".yaml","line":1,"object":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"b"}}}
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	if err := r.WriteItems(dir); err == nil {
		t.Error("writing to a directory succeeds")
	}
	if left, err := filepath.Glob(dir + ".*"); err != nil || len(left) > 0 {
		t.Errorf("a write that failed leaves %v behind, %v", left, err)
	}
	if _, err := r.WriteTo(failingWriter{}); !errors.Is(err, errFull) {
		t.Errorf("WriteTo = %v", err)
	}
}

func TestWriteItemsReplacesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "objects.jsonl")
	if err := load(t, tree(t, map[string]string{"a.yaml": cm("a")}), manifest.Options{}).WriteItems(path); err != nil {
		t.Fatal(err)
	}
	reader, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }() // it was only read
	if err := load(t, tree(t, map[string]string{"b.yaml": cm("b")}), manifest.Options{}).WriteItems(path); err != nil {
		t.Fatal(err)
	}
	before, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(before), `"a.yaml"`) || !strings.Contains(string(after), `"b.yaml"`) {
		t.Errorf("who reads the old file gets %q, the next one %q", before, after)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %s", info.Mode())
	}
}

var errFull = errors.New("disk full")

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errFull }

func TestItem(t *testing.T) {
	dir := tree(t, map[string]string{"a.yaml": cm("a") + "list: [1, -2, 1.5, 2.0, 9223372036854775807, 9223372036854775808, 1e400x, true, null, x]\nm: {d: 7}\n"})
	item, err := load(t, dir, manifest.Options{}).Objects[0].Item()
	if err != nil {
		t.Fatal(err)
	}
	want := []any{int64(1), int64(-2), 1.5, int64(2), int64(9223372036854775807), 9223372036854775808.0, "1e400x", true, nil, "x"}
	if diff := cmp.Diff(want, item.Object["list"]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]any{"d": int64(7)}, item.Object["m"]); diff != "" || item.File != "a.yaml" || item.Line != 1 {
		t.Errorf("%s:%d\n%s", item.File, item.Line, diff)
	}
}

func TestDigest(t *testing.T) {
	one := func(files map[string]string) string { return load(t, tree(t, files), manifest.Options{}).Digest }
	base := one(map[string]string{"a.yaml": cm("a")})
	for name, tt := range map[string]struct {
		files map[string]string
		same  bool
	}{
		"another file":  {map[string]string{"b.yaml": "# moved\n" + cm("a")}, true},
		"as JSON":       {map[string]string{"a.json": `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"}}`}, true},
		"content":       {map[string]string{"a.yaml": cm("a") + "data: {}\n"}, false},
		"one more":      {map[string]string{"a.yaml": cm("a"), "b.yaml": cm("b")}, false},
		"a broken file": {map[string]string{"a.yaml": cm("a"), "b.yaml": "{"}, false},
		"nothing":       {nil, false},
	} {
		if got := one(tt.files) == base; got != tt.same {
			t.Errorf("%s: same digest is %v", name, got)
		}
	}
}

func TestCache(t *testing.T) {
	files := map[string]string{"bad.yaml": "a: b: c\n"}
	for i := range 50 {
		files[fmt.Sprintf("d/%02d.yaml", i)] = cm(fmt.Sprint("a", i))
	}
	dir := tree(t, files)
	want := describe(load(t, dir, manifest.Options{}))
	cache := manifest.NewCache(1 << 20)
	for _, treeName := range []string{"", "", "t1", "t1"} {
		if diff := cmp.Diff(want, describe(load(t, dir, manifest.Options{Cache: cache, Tree: treeName}))); diff != "" {
			t.Error(diff)
		}
	}
	// Equal content under another name keeps its own name.
	moved := tree(t, map[string]string{"m.yaml": cm("a1")})
	if diff := cmp.Diff([]string{"m.yaml:1 ConfigMap/a1"}, describe(load(t, moved, manifest.Options{Cache: cache}))); diff != "" {
		t.Error(diff)
	}
	// A known tree is not read at all, other paths of it are.
	if err := os.RemoveAll(filepath.Join(dir, "d")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, describe(load(t, dir, manifest.Options{Cache: cache, Tree: "t1"}))); diff != "" {
		t.Error(diff)
	}
	if got := load(t, dir, manifest.Options{Cache: cache, Tree: "t1", Paths: []string{"bad.yaml"}}); got.Files != 1 {
		t.Errorf("other paths of a known tree: %d files", got.Files)
	}
}

func TestCacheIsBounded(t *testing.T) {
	cache := manifest.NewCache(20_000)
	for i := range 100 {
		dir := tree(t, map[string]string{"a.yaml": cm(fmt.Sprint("a", i)), "b.yaml": cm("b") + "data: {x: " + strings.Repeat("x", i*100) + "}\n"})
		load(t, dir, manifest.Options{Cache: cache, Tree: fmt.Sprint(i)})
		if cache.Used() > 20_000 {
			t.Fatalf("the cache holds %d bytes", cache.Used())
		}
	}
	if cache.Used() < 10_000 {
		t.Errorf("the cache holds only %d bytes", cache.Used())
	}
}

func TestConcurrentLoads(t *testing.T) {
	files := map[string]string{}
	for i := range 40 {
		files[fmt.Sprintf("%02d.yaml", i)] = cm(fmt.Sprint("a", i)) + "---\nbroken: [\n"
	}
	dir := tree(t, files)
	cache := manifest.NewCache(8000)
	var want bytes.Buffer
	if _, err := load(t, dir, manifest.Options{}).WriteTo(&want); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			r, err := manifest.Load(t.Context(), dir, manifest.Options{Cache: cache})
			if err != nil {
				t.Error(err)
				return
			}
			var got bytes.Buffer
			if _, err := r.WriteTo(&got); err != nil || got.String() != want.String() || len(r.Problems) != 40 {
				t.Errorf("a load differs: %v, %d problems", err, len(r.Problems))
			}
		})
	}
	wg.Wait()
}

// TestDanglingLinkToADirectory: what was behind the link has not been deleted
// by anybody, so the load is not complete.
func TestDanglingLinkToADirectory(t *testing.T) {
	for name, complete := range map[string]bool{"apps/web": false, "apps/v1.2": false, "docs/README.md": true} {
		dir := tree(t, map[string]string{name: "->../shared/gone", "a.yaml": "apiVersion: v1\nkind: X\nmetadata: {name: a}\n"})
		r := load(t, dir, manifest.Options{})
		if r.Complete != complete || len(r.Objects) != 1 {
			t.Errorf("%s: complete=%v, %d objects, problems %v", name, r.Complete, len(r.Objects), r.Problems)
		}
	}
}
