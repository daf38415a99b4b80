package edit_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
)

// TestAddEntry: a kustomization that says nothing of an image gets an entry,
// written as its others are.
func TestAddEntry(t *testing.T) {
	const digest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	tests := map[string]struct{ in, image, want string }{
		"no list":               {"resources:\n- a.yaml\n", "web:v2", "resources:\n- a.yaml\nimages:\n- name: web\n  newTag: v2\n"},
		"no list, indented":     {"resources:\n  - a.yaml\n", "web:v2", "resources:\n  - a.yaml\nimages:\n  - name: web\n    newTag: v2\n"},
		"no list, comments":     {"resources:\n- a.yaml\n# - b.yaml\n\n", "web:v2", "resources:\n- a.yaml\n# - b.yaml\nimages:\n- name: web\n  newTag: v2\n\n"},
		"no list, no end":       {"resources: [a.yaml]", "web:v2", "resources: [a.yaml]\nimages:\n- name: web\n  newTag: v2"},
		"no list, CRLF":         {"# k\r\nresources: [a.yaml]\r\n", "web:v2", "# k\r\nresources: [a.yaml]\r\nimages:\r\n- name: web\r\n  newTag: v2\r\n"},
		"no list, CRLF, no end": {"# k\r\nresources: [a.yaml]", "web:v2", "# k\r\nresources: [a.yaml]\r\nimages:\r\n- name: web\r\n  newTag: v2"},
		"no list, BOM":          {"\ufeffresources: [a.yaml]\n", "web:v2", "\ufeffresources: [a.yaml]\nimages:\n- name: web\n  newTag: v2\n"},
		"no list, marks":        {"---\nkind: Kustomization\nresources: [a.yaml]\n...\n", "web:v2", "---\nkind: Kustomization\nresources: [a.yaml]\nimages:\n- name: web\n  newTag: v2\n...\n"},
		"no list, block":        {"patches:\n- patch: |-\n    - op: add\n", "web:v2", "patches:\n- patch: |-\n    - op: add\nimages:\n- name: web\n  newTag: v2\n"},
		"no list, JSON":         {`{"resources":["a.yaml"]}` + "\n", "web:v2", `{"resources":["a.yaml"],"images":[{"name": "web", "newTag": "v2"}]}` + "\n"},
		"no list, long JSON":    {"{\n  \"resources\": [\"a.yaml\"]\n}\n", "web:v2", "{\n  \"resources\": [\"a.yaml\"],\n  \"images\": [{\"name\": \"web\", \"newTag\": \"v2\"}]\n}\n"},
		"number":                {"resources: ['a.yaml']\n", "web:1.10", "resources: ['a.yaml']\nimages:\n- name: web\n  newTag: '1.10'\n"},
		"new name":              {"resources: [a]\n", "ghcr.io/o/web:v2", "resources: [a]\nimages:\n- name: web\n  newName: ghcr.io/o/web\n  newTag: v2\n"},
		"digest":                {"resources: [a]\n", "web@" + digest, "resources: [a]\nimages:\n- name: web\n  digest: " + digest + "\n"},
		"all":                   {"resources: [a]\n", "ghcr.io/o/web:v2@" + digest, "resources: [a]\nimages:\n- name: web\n  newName: ghcr.io/o/web\n  newTag: v2\n  digest: " + digest + "\n"},
		"list":                  {"images:\n- name: db\n  newTag: \"17\" # db\n# - name: old\nresources: [a]\n", "web:v2", "images:\n- name: db\n  newTag: \"17\" # db\n- name: web\n  newTag: v2\n# - name: old\nresources: [a]\n"},
		"list, wide":            {"images:\n   -   name: db\n       newTag: v1\nnamePrefix: x\n", "web:v2", "images:\n   -   name: db\n       newTag: v1\n   -   name: web\n       newTag: v2\nnamePrefix: x\n"},
		"list, quotes":          {"images:\n  - name: 'db'\n    newTag: 'v1'", "web:v2", "images:\n  - name: 'db'\n    newTag: 'v1'\n  - name: 'web'\n    newTag: 'v2'"},
		"list, CRLF":            {"images:\r\n- name: db\r\n  newTag: v1\r\n", "web:v2", "images:\r\n- name: db\r\n  newTag: v1\r\n- name: web\r\n  newTag: v2\r\n"},
		"list of flow":          {"images:\n- { name: db, newTag: v1 } # db\n", "web:v2", "images:\n- { name: db, newTag: v1 } # db\n- { name: web, newTag: v2 }\n"},
		"list, dash alone":      {"images:\n-\n  name: db\n", "web:v2", "images:\n-\n  name: db\n- name: web\n  newTag: v2\n"},
		"flow":                  {"images: [{name: db, newTag: v1}] # all\n", "web:v2", "images: [{name: db, newTag: v1}, {name: web, newTag: v2}] # all\n"},
		"flow, comma":           {"images: [{name: db, newTag: v1},]\n", "web:v2", "images: [{name: db, newTag: v1}, {name: web, newTag: v2},]\n"},
		"flow, lines":           {"images: [\n  {name: db, newTag: v1} # db\n]\n", "web:v2", "images: [\n  {name: db, newTag: v1}, # db\n  {name: web, newTag: v2}\n]\n"},
		"flow, lines, comma":    {"images: [\n  {name: db, newTag: v1}, # db\n]\n", "web:v2", "images: [\n  {name: db, newTag: v1}, # db\n  {name: web, newTag: v2},\n]\n"},
		"flow, JSON":            {`{"images":[{"name":"db","newTag":"v1"}]}`, "web:v2", `{"images":[{"name":"db","newTag":"v1"},{"name":"web","newTag":"v2"}]}`},
		"flow, empty":           {"images: []\n", "web:v2", "images: [{name: web, newTag: v2}]\n"},
		"no value":              {"images: # none yet\nresources:\n  - a\n", "web:v2", "images: # none yet\n  - name: web\n    newTag: v2\nresources:\n  - a\n"},
		"null":                  {"images: ~\n", "web:v2", "images: [{name: web, newTag: v2}]\n"},
		"there":                 {"images:\n- name: web\n  newTag: v1\n", "web:v2", "images:\n- name: web\n  newTag: v2\n"},
		"there already":         {"images:\n- name: web\n  newTag: v2\n", "web:v2", "images:\n- name: web\n  newTag: v2\n"},
		"other spelling":        {"images:\n- name: docker.io/library/web\n  newTag: v1\n", "web:v2", "images:\n- name: docker.io/library/web\n  newTag: v1\n- name: web\n  newTag: v2\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			e := edit.Edit{Kustomize: "web", Add: true, Image: tt.image}
			got, err := apply(tt.in, e)
			if err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if again, err := apply(got, e); err != nil || again != got {
				t.Errorf("again: %v\n%s", err, again)
			}
		})
	}
}

func TestAddEntryRefused(t *testing.T) {
	tests := map[string]struct {
		in   string
		e    edit.Edit
		want string
	}{
		"no kustomization": {"apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n", edit.Edit{Kustomize: "web", Image: "web:v2"}, "not found"},
		"of Flux":          {"apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nspec: {path: x}\n", edit.Edit{Kustomize: "web", Image: "web:v2"}, "not found"},
		"empty":            {"# nothing\n", edit.Edit{Kustomize: "web", Image: "web:v2"}, "not found"},
		"two":              {"resources: [a]\n---\nresources: [b]\n", edit.Edit{Kustomize: "web", Image: "web:v2"}, "line 2: the file holds more than one"},
		"nothing to say":   {"resources: [a]\n", edit.Edit{Kustomize: "web", Image: "web"}, "another name, a tag or a digest"},
		"old name":         {"imageTags: []\n", edit.Edit{Kustomize: "web", Image: "web:v2"}, "line 1: imageTags"},
		"no list":          {"images: {a: b}\n", edit.Edit{Kustomize: "web", Image: "web:v2"}, "it is no list"},
		"twice":            {"images: []\nimages: []\n", edit.Edit{Kustomize: "web", Image: "web:v2"}, "stands twice"},
		"merged":           {"x: &x {images: []}\n<<: *x\n", edit.Edit{Kustomize: "web", Image: "web:v2"}, "merged in"},
		"an alias":         {"x: &x [{name: a, newTag: b}]\nimages: *x\n", edit.Edit{Kustomize: "web", Image: "web:v2"}, "an alias has it in other places"},
		"open block":       {"patches:\n- patch: |\n    x", edit.Edit{Kustomize: "web", Image: "web:v2"}, "cannot be edited safely"},
		"changed":          {"images: [{name: web, newTag: v1}]\n", edit.Edit{Kustomize: "web", Image: "web:v3", From: "web:v2"}, "is web:v1 and not web:v2"},
		"a reference":      {"resources: [a]\n", edit.Edit{Kustomize: "web:v1", Image: "web:v2"}, "by its name alone"},
		"no name":          {"resources: [a]\n", edit.Edit{Workload: "deployment/web", Container: "c", Image: "web:v2"}, "by its name alone"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.e.Add = true
			got, err := apply(tt.in, tt.e)
			if got != tt.in || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q\n%s", err, tt.want, got)
			}
		})
	}
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "kustomization.yaml"), []byte("resources: [a]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tree, err := edit.Open(t.Context(), root, edit.TreeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if changes, errs := tree.Apply(t.Context(), []edit.Edit{{Kustomize: "web", Add: true, Image: "web:v2"}}); len(changes) != 0 || errs[0] == nil || !strings.Contains(errs[0].Error(), "to one file") {
		t.Errorf("a tree: %v, %v", changes, errs)
	}
}

// TestAddEntries: several at once, beside edits of those that are there.
func TestAddEntries(t *testing.T) {
	const in = "images:\n- name: db # kept\n  newTag: v1\nresources: [a]\n"
	out, errs := edit.Apply([]byte(in), edit.Options{}, []edit.Edit{
		{Kustomize: "web", Add: true, Image: "web:v2"}, {Kustomize: "db", Image: "db:v2"},
		{Kustomize: "cron", Add: true, Image: "cron:v2"}, {Kustomize: "db", Image: "new.example/db:v2"}, {Kustomize: "web", Add: true, Image: "web:v2"},
	})
	for i, err := range errs {
		if err != nil {
			t.Errorf("edit %d: %v", i, err)
		}
	}
	want := "images:\n- name: db # kept\n  newTag: v2\n  newName: new.example/db\n- name: web\n  newTag: v2\n- name: cron\n  newTag: v2\nresources: [a]\n"
	if diff := cmp.Diff(want, string(out)); diff != "" {
		t.Error(diff)
	}
}

// TestAddEntriesGolden shows what becomes of whole files.
func TestAddEntriesGolden(t *testing.T) {
	names, err := filepath.Glob("testdata/kustomize/*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatal("no files", err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			out, errs := edit.Apply(data, edit.Options{}, []edit.Edit{
				{Kustomize: "redis", Add: true, Image: "redis:8"},
				{Kustomize: "ghcr.io/org/app", Add: true, Image: "registry.example.com/app:v1@sha256:" + strings.Repeat("b", 64)},
			})
			golden(t, strings.TrimSuffix(name, ".yaml")+".added", string(out)+describeErrors(errs))
			if !isSubsequence(data, out) {
				t.Error("not only added")
			}
		})
	}
}

// FuzzAddEntry holds for any bytes: what is added is bytes alone, the others
// stay as they are and in their order, and the entry is the only one that is
// new to a parser that knows nothing of images.
func FuzzAddEntry(f *testing.F) {
	seeds(f)
	for _, s := range []string{"resources:\n- a\n# c\n", "images: [{name: a}]", "images:\n- {name: a,\n  newTag: b} # c\n- &x\n  name: c", "{\"images\": [\n {\"name\": \"a\"}\n]}", "images: [\n  {name: a}, # c\n  ]\n",
		"images:\r\n  -   name: 'a'\r\n\r\n# end", "kind: Kustomization\nx: |+\n  a\n\n", "images:\n", "images: !!seq []\n", "? images\n: - name: a\n", "images: &i\n- name: a\nx: *i\n", "images:\n-\n  name: a\n...\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e := edit.Edit{Kustomize: "example.com/fuzz", Add: true, Image: "example.com/other:1.10"}
		for _, k := range edit.Scan(data, edit.Options{}).Kustomize {
			if k.Name == e.Kustomize {
				return // it is changed, and not added
			}
		}
		added, errs := edit.Apply(data, edit.Options{}, []edit.Edit{e})
		if errs[0] != nil {
			if !bytes.Equal(added, data) {
				t.Errorf("refused (%v) and changed", errs[0])
			}
			return
		}
		checkAdded(t, data, added)
		again, errs := edit.Apply(added, edit.Options{}, []edit.Edit{e})
		if errs[0] != nil || !bytes.Equal(again, added) {
			t.Errorf("again (%v):\n%q\n%q", errs[0], added, again)
		}
	})
}

func checkAdded(t *testing.T, before, after []byte) {
	t.Helper()
	if !isSubsequence(before, after) && !isSubsequence(writtenNull.ReplaceAll(before, []byte("$1")), after) {
		t.Errorf("not only added:\n%q\n%q", before, after)
	}
	a, b := leaves(before), leaves(after)
	if a == nil || b == nil {
		return // with syntax errors elsewhere, or JSON that is no YAML
	}
	values := map[string]int{}
	for path, v := range b {
		if was, ok := a[path]; !ok {
			values[v]++
		} else if was != v {
			t.Errorf("%s: %q became %q:\n%q\n%q", path, was, v, before, after)
		}
	}
	for _, v := range []string{"name", "newName", "newTag", "example.com/fuzz", "example.com/other", "1.10"} {
		values[v]--
	}
	values["images"] = 0
	for v, n := range values {
		if n != 0 {
			t.Errorf("%q is there %d times more than meant:\n%q\n%q", v, n, before, after)
		}
	}
	images := edit.Scan(after, edit.Options{}).Kustomize
	if n := len(images); n == 0 || images[n-1].NewTag != "1.10" {
		t.Errorf("found %+v\n%q", images, after)
	}
}

// writtenNull is a list that says that it has no value, which a list replaces.
var writtenNull = regexp.MustCompile(`(images[^~nN]*)(~|null|Null|NULL)`)

// isSubsequence reports whether b is a with bytes added.
func isSubsequence(a, b []byte) bool {
	for len(a) > 0 {
		i := bytes.IndexByte(b, a[0])
		if i < 0 {
			return false
		}
		a, b = a[1:], b[i+1:]
	}
	return true
}
