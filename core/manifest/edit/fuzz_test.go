package edit_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
)

// FuzzSetImage holds for any bytes: an edit to the same value changes nothing;
// one to another value changes that alone, and can be made undone; and nothing
// panics.
func FuzzSetImage(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		found := edit.Scan(data, edit.Options{})
		for _, w := range found.Workloads {
			for _, c := range w.Containers {
				if r, err := ref.Parse(c.Image); err == nil {
					checkSetImage(t, data, w, c, r)
				}
			}
		}
		edits, _ := allEdits(found)
		once, _ := edit.Apply(data, edit.Options{}, edits)
		edit.Scan(once, edit.Options{})
	})
}

func seeds(f *testing.F) {
	names, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for doc := range strings.SplitSeq(string(data), "---\n") {
			f.Add([]byte(doc))
			f.Add([]byte(strings.ReplaceAll(doc, "\n", "\r\n")))
		}
	}
	for _, image := range []string{"&i x:1\n  - {name: b, image: *i}", "|-\n      x:1\n\n", ">\n      x", "\"x:\\\n      1\"", "'x:1' # {\"$sluice\": \"a\"}", "!!str x", "? x", "x\n  - <<: *i"} {
		f.Add([]byte(pod(image)))
	}
	for _, m := range []string{"metadata: &m\n  name: p\n  x: 1", "metadata:\n  name: p\n  ? annotations\n  : a: b", "metadata:\n  name: p\n  annotations: !!map\n    'k': v", "metadata:\n  name: p\n  annotations: &x",
		"metadata: {name: p, # why\n  labels: {a: b}, # ok\n  }", "metadata:\n  name: p\n  finalizers:\n  - a", "metadata:\n  name: p\n  annotations:\n    k: |+\n      x\n\n", "metadata:\n  name: p\n  annotations: {k: \"x\n    y\",}"} {
		f.Add([]byte(annotated(m)))
	}
	f.Add([]byte("\xff\xfek\x00"))
	f.Add([]byte(`{"kind":"Pod","metadata":{"name":"p"},"apiVersion":"v1","spec":{"containers":[{"name":"a","image":"x"}]}}`))
}

func checkSetImage(t *testing.T, data []byte, w edit.Workload, c edit.Container, r ref.Ref) {
	t.Helper()
	set := func(data []byte, image string) ([]byte, error) {
		out, errs := edit.Apply(data, edit.Options{}, []edit.Edit{{Workload: w.ID, Container: c.Name, Image: image}})
		return out, errs[0]
	}
	same, err := set(data, c.Image)
	if !bytes.Equal(same, data) {
		t.Errorf("%s of %s: the same value (%v) changes\n%q\nto\n%q", c.Name, w.ID, err, data, same)
	}
	const other = "v0.0.0-other"
	changed, err := set(data, r.WithTag(other).String())
	if err != nil {
		if !bytes.Equal(changed, data) {
			t.Errorf("refused (%v) and changed", err)
		}
		return
	}
	checkOnly(t, data, changed, other)
	back, err := set(changed, c.Image)
	if err != nil {
		t.Errorf("not back: %v\n%q\n%q", err, data, changed)
		return
	}
	if isCanonical(data, c) && !bytes.Equal(back, data) {
		t.Errorf("there and back is not the same:\n%q\n%q\n%q", data, changed, back)
	}
	forth, err := set(back, r.WithTag(other).String())
	if err != nil || isCanonical(data, c) && !bytes.Equal(forth, changed) {
		t.Errorf("forth again (%v) is not the same:\n%q\n%q", err, changed, forth)
	}
}

// isCanonical reports whether the image is certainly written the way in which
// it is written back: as it is, and not over several lines or with escapes.
func isCanonical(data []byte, c edit.Container) bool {
	return c.Form == edit.FormContainer && bytes.Contains(data, []byte(c.Image)) && !bytes.ContainsAny(data, "\\|>!\ufeff\xff") && strings.Contains(c.Image, ":")
}

// checkOnly compares what two files say to a parser that knows nothing of
// images: at few places they differ, and all of these hold the other value.
func checkOnly(t *testing.T, before, after []byte, other string) {
	t.Helper()
	a, b := leaves(before), leaves(after)
	if a == nil || b == nil {
		return // with syntax errors elsewhere, or JSON that is no YAML
	}
	if len(a) != len(b) {
		t.Errorf("%d values became %d:\n%q\n%q", len(a), len(b), before, after)
		return
	}
	differ := 0
	for path, v := range a {
		if b[path] == v {
			continue
		}
		differ++
		// A name that was together with a tag that has a field of its own, too.
		if !strings.Contains(b[path], other) && !strings.HasPrefix(v, b[path]) && b[path] != "" && !strings.Contains(path, "registry") {
			t.Errorf("%s: %q became %q:\n%q\n%q", path, v, b[path], before, after)
		}
	}
	if differ == 0 || differ > 4 && !bytes.Contains(before, []byte("*")) {
		t.Errorf("%d values differ:\n%q\n%q", differ, before, after)
	}
}

// leaves returns the scalars of a YAML stream by path, or nil if it has errors.
func leaves(data []byte) map[string]string {
	m := map[string]string{}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for i := 0; ; i++ {
		var n yaml.Node
		err := dec.Decode(&n)
		if errors.Is(err, io.EOF) {
			return m
		}
		if err != nil {
			return nil
		}
		leavesOf(&n, fmt.Sprint(i), m)
	}
}

func leavesOf(n *yaml.Node, path string, m map[string]string) {
	switch n.Kind {
	case yaml.ScalarNode, yaml.AliasNode:
		m[path] = n.Value
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			leavesOf(n.Content[i], fmt.Sprintf("%s/%d key", path, i), m)
			leavesOf(n.Content[i+1], fmt.Sprintf("%s/%d %s", path, i, n.Content[i].Value), m)
		}
	default:
		for i, c := range n.Content {
			leavesOf(c, fmt.Sprintf("%s/%d", path, i), m)
		}
	}
}

// FuzzAnnotate holds for any bytes: an annotation that is set is there, the
// others are as before, and taking it away again gives the same bytes if there
// were others.
func FuzzAnnotate(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, w := range edit.Scan(data, edit.Options{}).Workloads {
			checkAnnotate(t, data, w)
		}
	})
}

func checkAnnotate(t *testing.T, data []byte, w edit.Workload) {
	t.Helper()
	const key, value = "example.com/fuzz", "yes: \"it\" # is"
	if _, exists := w.Annotations[key]; exists {
		return
	}
	set, errs := edit.Apply(data, edit.Options{}, []edit.Edit{{Workload: w.ID, Set: map[string]string{key: value}}})
	if errs[0] != nil {
		if !bytes.Equal(set, data) {
			t.Errorf("refused (%v) and changed", errs[0])
		}
		return
	}
	for _, after := range edit.Scan(set, edit.Options{}).Workloads {
		if after.ID == w.ID && (after.Annotations[key] != value || len(after.Annotations) != len(w.Annotations)+1) {
			t.Errorf("%v became %v", w.Annotations, after.Annotations)
		}
	}
	back, errs := edit.Apply(set, edit.Options{}, []edit.Edit{{Workload: w.ID, Remove: []string{key}}})
	if errs[0] != nil {
		t.Errorf("cannot be taken away: %v\n%q", errs[0], set)
	}
	if (len(w.Annotations) > 0 || !bytes.Contains(data, []byte("annotations"))) && !bytes.Equal(back, data) {
		t.Errorf("there and back is not the same:\n%q\n%q\n%q", data, set, back)
	}
}

// FuzzScan finds markers and entries of kustomizations in any bytes.
func FuzzScan(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		found := edit.Scan(data, edit.Options{})
		for _, m := range found.Markers {
			e := edit.Edit{Marker: m.Policy, Flux: m.Flux, Image: "example.com/x:9@sha256:" + strings.Repeat("e", 64)}
			once, errs := edit.Apply(data, edit.Options{}, []edit.Edit{e})
			if errs[0] != nil {
				continue
			}
			if after := edit.Scan(once, edit.Options{}); len(after.Markers) != len(found.Markers) || len(after.Workloads) != len(found.Workloads) {
				t.Errorf("%d markers and %d workloads became %d and %d:\n%q\n%q", len(found.Markers), len(found.Workloads),
					len(after.Markers), len(after.Workloads), data, once)
			}
		}
		for _, p := range found.Problems {
			if p.Subject == nil || p.Subject.Start.Line < 1 {
				t.Errorf("a problem without a place: %v", p)
			}
		}
	})
}
