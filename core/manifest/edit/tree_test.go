package edit_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
)

// tree writes files by path below a new directory.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func open(t testing.TB, dir string, o edit.TreeOptions) *edit.Tree {
	t.Helper()
	tr, err := edit.Open(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func named(name, image string) string {
	return strings.Replace(pod(image), "name: p", "name: "+name, 1)
}

func TestTree(t *testing.T) {
	dir := tree(t, map[string]string{
		"a.yaml":                   named("a", "x:1") + "---\n" + named("b", "x:1 # {\"$sluice\": \"m\"}"),
		"sub/c.yml":                named("c", "x:1"),
		"sub/twice.yaml":           named("a", "y:1"),
		"sub/values.yaml":          "any:\n- x:1 # {\"$sluice\": \"m\"}\n",
		"bad.yaml":                 "kind: Pod\nmetadata: [",
		"ignored.yaml":             named("i", "x:1"),
		".sluiceignore":            "ignored.yaml\n",
		".hidden/h.yaml":           named("h", "x:1"),
		"chart/Chart.yaml":         "",
		"chart/templates/x.yaml":   named("t", "x:1"),
		"base/kustomization.yaml":  "images:\n- name: x\n  newTag: v1\n",
		"other/kustomization.yaml": "images: # of it\n- {name: x, newTag: 'v1'}\n",
	})
	tr := open(t, dir, edit.TreeOptions{})
	want := `a.yaml:1: default:pod/a default:Pod/a
  8: container app = x:1 init=false
a.yaml:10: default:pod/b default:Pod/b
  17: container app = x:1 init=false
sub/c.yml:1: default:pod/c default:Pod/c
  8: container app = x:1 init=false
sub/twice.yaml:1: default:pod/a default:Pod/a
  8: container app = y:1 init=false
a.yaml:17: marker m part "" = x:1 flux=false
sub/values.yaml:2: marker m part "" = x:1 flux=false
base/kustomization.yaml:2: kustomize x -> :v1@
other/kustomization.yaml:2: kustomize x -> :v1@
error: bad.yaml:3: syntax error: did not find expected node content
error: sub/twice.yaml:1: default:pod/a is declared twice
`
	if diff := cmp.Diff(want, describe(tr.Found())); diff != "" {
		t.Error(diff)
	}
	changes, errs := tr.Apply(t.Context(), []edit.Edit{
		{Workload: "default:pod/b", Container: "app", Image: "x:2"},
		{Workload: "default:pod/c", Container: "app", Image: "x:1"}, // there already
		{Workload: "default:pod/a", Container: "app", Image: "x:2"}, // twice
		{Workload: "default:pod/nope", Container: "app", Image: "x:2"},
		{Marker: "m", Image: "x:3"},
		{Kustomize: "x", Image: "x:v2"},
		{Workload: "default:pod/c", Container: "nope", Image: "x:2"},
		{Marker: "m", Image: "x:4", From: "x:2"},
	})
	var got []string
	for _, c := range changes {
		old, err := os.ReadFile(filepath.Join(dir, c.Path))
		if err != nil || string(old) != string(c.Old) {
			t.Errorf("%s: not what was there: %v", c.Path, err)
		}
		got = append(got, fmt.Sprintf("%s by %v: %d", c.Path, c.Edits, changedLines(c.Old, c.New)))
	}
	if diff := cmp.Diff([]string{"a.yaml by [0 4]: 1", "base/kustomization.yaml by [5]: 1", "other/kustomization.yaml by [5]: 1", "sub/values.yaml by [4]: 1"}, got); diff != "" {
		t.Error(diff)
	}
	wantErrs := []string{"", "", "sub/twice.yaml:1: default:pod/a is declared twice, first at a.yaml:1", "default:pod/nope: not found", "", "",
		"sub/c.yml: container \"nope\" of default:pod/c: not found: it has app", "a.yaml: the image is x:3 and not x:2 any more"}
	if diff := cmp.Diff(wantErrs, messages(errs)); diff != "" {
		t.Error(diff)
	}
	if !errors.Is(errs[3], edit.ErrNotFound) || !errors.Is(errs[6], edit.ErrNotFound) {
		t.Errorf("errors %v", errs)
	}
}

func messages(errs []error) (list []string) {
	for _, err := range errs {
		if err == nil {
			list = append(list, "")
		} else {
			list = append(list, err.Error())
		}
	}
	return list
}

// TestTreeAllOrNone: an edit that fails in one of its files is made in none.
func TestTreeAllOrNone(t *testing.T) {
	dir := tree(t, map[string]string{
		"a.yaml": "a: x:1 # {\"$sluice\": \"m\"}\nb: x:1 # {\"$sluice\": \"n\"}\n",
		"b.yaml": "a: !!binary eDox # {\"$sluice\": \"m\"}\n",
	})
	changes, errs := open(t, dir, edit.TreeOptions{}).Apply(t.Context(), []edit.Edit{{Marker: "m", Image: "x:2"}, {Marker: "n", Image: "x:2"}})
	if len(changes) != 1 || string(changes[0].New) != "a: x:1 # {\"$sluice\": \"m\"}\nb: x:2 # {\"$sluice\": \"n\"}\n" {
		t.Errorf("changes %v", changes)
	}
	if errs[0] == nil || !strings.HasPrefix(errs[0].Error(), "b.yaml:1: ") || errs[1] != nil {
		t.Errorf("errors %v", errs)
	}
}

// TestTreeCache: a known tree costs no file, a known file no parse, and other
// options are another question.
func TestTreeCache(t *testing.T) {
	dir := tree(t, map[string]string{"a.yaml": named("a", "x:1"), "b.yaml": named("b", "x:1")})
	o := edit.TreeOptions{Cache: edit.NewCache(1 << 20), Tree: "one"}
	check := func(o edit.TreeOptions, reads, parses int64) {
		t.Helper()
		tr := open(t, dir, o)
		if r, p := tr.Counts(); r != reads || p != parses || len(tr.Found().Workloads) != 2 {
			t.Errorf("%d files read, %d documents parsed, want %d and %d", r, p, reads, parses)
		}
	}
	check(o, 2, 2)
	check(o, 0, 0)
	o.Tree = "two"
	check(o, 2, 0)
	o.Namespace = "shop"
	check(o, 2, 2)
	o.Tree = ""
	check(o, 2, 0)
	o.Paths = []string{"a.yaml", "b.yaml"}
	check(o, 2, 0)
}

// TestTreeApply500: each file that an edit is about is read and parsed once, and
// no other.
func TestTreeApply500(t *testing.T) {
	files := map[string]string{}
	var edits []edit.Edit
	for i := range 1000 {
		name := fmt.Sprintf("p%d", i)
		files[fmt.Sprintf("d%d/%s.yaml", i%10, name)] = named(name, "x:1")
		if i < 500 {
			edits = append(edits, edit.Edit{Workload: "default:pod/" + name, Container: "app", Image: "x:2"})
		}
	}
	dir := tree(t, files)
	tr := open(t, dir, edit.TreeOptions{})
	readsBefore, parsesBefore := tr.Counts()
	changes, errs := tr.Apply(t.Context(), edits)
	if err := errors.Join(errs...); err != nil || len(changes) != 500 {
		t.Fatal(err, len(changes))
	}
	reads, parses := tr.Counts()
	if reads-readsBefore != 500 || parses-parsesBefore != 500 {
		t.Errorf("%d files read and %d documents parsed for 500 edits", reads-readsBefore, parses-parsesBefore)
	}
	for _, c := range changes {
		if changedLines(c.Old, c.New) != 1 {
			t.Errorf("%s: more than a line changed", c.Path)
		}
	}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		if data, err := os.ReadFile(p); err != nil || string(data) != files[filepath.ToSlash(rel)] {
			t.Errorf("%s was written to: %v", rel, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// changedLines counts the lines of which one text has another or more than the
// other.
func changedLines(old, result []byte) (n int) {
	a, b := strings.SplitAfter(string(old), "\n"), strings.SplitAfter(string(result), "\n")
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			n++
		}
	}
	return n
}
