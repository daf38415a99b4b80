package edit_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
)

// shared returns a directory of real repositories, or skips.
func shared(t testing.TB, name string) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "..", "..", "..", "shared", "data", name))
	if err != nil {
		t.Fatal(err)
	}
	if env := os.Getenv("SLUICE_SHARED_DATA"); env != "" {
		dir = filepath.Join(env, name)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no %s: set SLUICE_SHARED_DATA to the directory that has it", dir)
	}
	return dir
}

// TestCorpus updates each image of real repositories, one at a time, and
// annotates each workload: one line changes, and it can be made undone.
func TestCorpus(t *testing.T) {
	for name, want := range map[string]int{"flux-get-started": 4, "kube-prometheus": 12, "podinfo": 1} {
		t.Run(name, func(t *testing.T) {
			if images := eachImage(t, shared(t, name)); images < want {
				t.Errorf("%d images, want at least %d", images, want)
			}
		})
	}
}

// eachImage updates each image by itself and returns how many there are.
func eachImage(t testing.TB, dir string) (images int) {
	t.Helper()
	tr := open(t, dir, edit.TreeOptions{})
	if err := tr.Found().Problems.Err(); err != nil {
		t.Error(err)
	}
	for _, w := range tr.Found().Workloads {
		data, err := os.ReadFile(filepath.Join(dir, w.File))
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range w.Containers {
			r, err := ref.Parse(c.Image)
			if err != nil {
				t.Errorf("%s: %v", w.File, err)
				continue
			}
			images++
			edited := oneLine(t, w.File, data, edit.Edit{Workload: w.ID, Container: c.Name, Image: r.WithTag("v9.9.9-x").String()})
			back, errs := edit.Apply(edited, edit.Options{}, []edit.Edit{{Workload: w.ID, Container: c.Name, Image: c.Image}})
			if errs[0] != nil || string(back) != string(data) {
				t.Errorf("%s: %s of %s is not back: %v", w.File, c.Name, w.ID, errs[0])
			}
		}
		const key = "sluice.dev/x"
		edited, errs := edit.Apply(data, edit.Options{}, []edit.Edit{{Workload: w.ID, Set: map[string]string{key: "true"}}})
		back, backErrs := edit.Apply(edited, edit.Options{}, []edit.Edit{{Workload: w.ID, Remove: []string{key}}})
		if errs[0] != nil || backErrs[0] != nil || string(back) != string(data) || len(edited) == len(data) {
			t.Errorf("%s: %s: annotated: %v, %v", w.File, w.ID, errs[0], backErrs[0])
		}
	}
	return images
}

// oneLine makes an edit, which must change exactly one line.
func oneLine(t testing.TB, file string, data []byte, e edit.Edit) []byte {
	t.Helper()
	out, errs := edit.Apply(data, edit.Options{}, []edit.Edit{e})
	if n := changedLines(data, out); errs[0] != nil || n != 1 {
		t.Errorf("%s: %d lines changed: %v", file, n, errs[0])
	}
	return out
}

// BenchmarkChangedLines reports how many lines an update of one image changes
// in real repositories.
func BenchmarkChangedLines(b *testing.B) {
	for _, name := range []string{"flux-get-started", "kube-prometheus", "podinfo"} {
		b.Run(name, func(b *testing.B) {
			dir := shared(b, name)
			lines, updates := 0, 0
			for b.Loop() {
				for _, w := range open(b, dir, edit.TreeOptions{}).Found().Workloads {
					data, err := os.ReadFile(filepath.Join(dir, w.File))
					if err != nil {
						b.Fatal(err)
					}
					for _, c := range w.Containers {
						lines, updates = lines+linesOf(b, data, w, c), updates+1
					}
				}
			}
			b.ReportMetric(float64(lines)/float64(updates), "lines/update")
		})
	}
}

// linesOf returns how many lines another tag for a container changes.
func linesOf(b *testing.B, data []byte, w edit.Workload, c edit.Container) int {
	b.Helper()
	r, err := ref.Parse(c.Image)
	if err != nil {
		b.Fatal(err)
	}
	out, errs := edit.Apply(data, edit.Options{}, []edit.Edit{{Workload: w.ID, Container: c.Name, Image: r.WithTag("v9.9.9").String()}})
	if errs[0] != nil {
		b.Fatal(errs[0])
	}
	return changedLines(data, out)
}

// deployment is a file of the usual size: a Deployment, a Service and comments.
func deployment(i int) string {
	return fmt.Sprintf(`# The web front of shop %[1]d.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web%[1]d
  namespace: shop
  labels: {app: web}   # do not change
  annotations:
    sluice.dev/automated: "true"
    sluice.dev/tag.app: semver:~1
spec:
  replicas: 2
  selector:
    matchLabels:
      app: web
  template:
    metadata:
      labels:
        app: web
    spec:
      containers:
      - name: app
        image: registry.example.com/shop/web:1.2.3   # updated
        args: ["--port=8080", "--level=info"]
        env:
        - name: A
          value: "1"
        - name: B
          value: two
        ports:
        - containerPort: 8080
        resources:
          requests: {cpu: 100m, memory: 64Mi}
          limits: {cpu: "1", memory: 256Mi}
        readinessProbe:
          httpGet:
            path: /healthz
            port: 8080
      initContainers:
      - name: migrate
        image: "registry.example.com/shop/migrate:1.2.3"
---
apiVersion: v1
kind: Service
metadata:
  name: web%[1]d
  namespace: shop
spec:
  selector:
    app: web
  ports:
  - port: 80
    targetPort: 8080
`, i)
}

// BenchmarkSetImage measures an edit of one image with all its checks.
func BenchmarkSetImage(b *testing.B) {
	run := func(name, text, workload, container string) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			docs := 0
			for b.Loop() {
				out, errs := edit.Apply([]byte(text), edit.Options{}, []edit.Edit{{Workload: workload, Container: container, Image: "registry.example.com/shop/web:1.2.4"}})
				if errs[0] != nil || len(out) != len(text) {
					b.Fatal(errs[0])
				}
				docs++
			}
			b.ReportMetric(float64(docs)/b.Elapsed().Seconds(), "docs/s")
		})
	}
	run("file", deployment(1), "shop:deployment/web1", "app")
	var many strings.Builder
	for i := range 100 {
		many.WriteString(deployment(i) + "---\n")
	}
	run("of 200 documents", many.String(), "shop:deployment/web77", "app")
}

// BenchmarkApply500 measures 500 edits over 500 files, and what it takes to know
// where they belong.
func BenchmarkApply500(b *testing.B) {
	files := map[string]string{}
	var edits []edit.Edit
	size := 0
	for i := range 500 {
		text := deployment(i)
		size += len(text)
		files[fmt.Sprintf("web%d.yaml", i)] = text
		edits = append(edits, edit.Edit{Workload: fmt.Sprintf("shop:deployment/web%d", i), Container: "app", Image: "registry.example.com/shop/web:1.2.4"})
	}
	dir := tree(b, files)
	cache := edit.NewCache(64 << 20)
	measure := func(name string, f func()) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				f()
			}
			b.ReportMetric(float64(500*b.N)/b.Elapsed().Seconds(), "docs/s")
		})
	}
	measure("open", func() { open(b, dir, edit.TreeOptions{}) })
	measure("open, files known", func() { open(b, dir, edit.TreeOptions{Cache: cache}) })
	measure("open, tree known", func() { open(b, dir, edit.TreeOptions{Cache: cache, Tree: "t"}) })
	tr := open(b, dir, edit.TreeOptions{})
	measure("apply", func() {
		if changes, _ := tr.Apply(b.Context(), edits); len(changes) != 500 {
			b.Fatal(len(changes))
		}
	})
}
