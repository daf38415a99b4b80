package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// kubeconfigVariable names the kubeconfig of a real cluster that these tests
// may fill and empty.
const kubeconfigVariable = "SLUICE_TEST_KUBECONFIG"

// realTarget returns a target on the test cluster whose inventories live in a
// namespace of the test's own.
func realTarget(t *testing.T, c Config) *target {
	t.Helper()
	if c.Kubeconfig == "" {
		if c.Kubeconfig = os.Getenv(kubeconfigVariable); c.Kubeconfig == "" {
			t.Skipf("%s names no kubeconfig; `make test` starts a cluster and sets it", kubeconfigVariable)
		}
	}
	if c.InventoryNamespace == "" && len(c.Namespaces) == 0 {
		c.InventoryNamespace = namespaceFor(t)
	}
	target, err := newTarget(c, cluster.Options{Kubeconfig: c.Kubeconfig, Context: c.Context, UserAgent: "sluice-plugin-kubernetes/test-" + t.Name()}, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = target.Close() })
	return target
}

// namespaceFor returns the name of a namespace that is deleted after the test.
func namespaceFor(t *testing.T) string {
	t.Helper()
	return uniqueName(t, "t")
}

var (
	uniqueMu sync.Mutex
	uniqueN  int
)

func uniqueName(t *testing.T, prefix string) string {
	t.Helper()
	uniqueMu.Lock()
	uniqueN++
	name := fmt.Sprintf("%s%d-%d-%d", prefix, os.Getpid(), time.Now().UnixMilli()%1e8, uniqueN)
	uniqueMu.Unlock()
	t.Cleanup(func() { deleteNamespace(t, name) })
	return name
}

func deleteNamespace(t *testing.T, name string) {
	kubeconfig := os.Getenv(kubeconfigVariable)
	if kubeconfig == "" {
		return
	}
	c, err := cluster.Connect(cluster.Options{Kubeconfig: kubeconfig, UserAgent: "sluice-test-cleanup"})
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	_ = c.Dynamic.Resource(gvr("", "v1", "namespaces")).Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{}) // may never have existed
}

func gvr(group, version, resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: group, Version: version, Resource: resource}
}

// itemsOf writes manifests, keyed by file name, as the file of a Set.
func itemsOf(t *testing.T, files map[string]string) string {
	t.Helper()
	var out bytes.Buffer
	for _, name := range sortedKeys(files) {
		writeItems(t, &out, name, files[name])
	}
	path := filepath.Join(t.TempDir(), "objects.jsonl")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func writeItems(t *testing.T, out io.Writer, name, content string) {
	t.Helper()
	line := 1
	for _, doc := range strings.SplitAfter(content, "\n---\n") {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(strings.TrimSuffix(doc, "---\n")), &object); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, member := range members(object) {
			if err := json.NewEncoder(out).Encode(applier.Item{File: name, Line: line + leading(doc), Object: member}); err != nil {
				t.Fatal(err)
			}
		}
		line += strings.Count(doc, "\n")
	}
}

// members expands a List; anything else is itself.
func members(object map[string]any) []map[string]any {
	kind, _ := object["kind"].(string)
	items, isList := object["items"].([]any)
	if object == nil || !isList || !strings.HasSuffix(kind, "List") {
		return slices.DeleteFunc([]map[string]any{object}, func(m map[string]any) bool { return m == nil })
	}
	var out []map[string]any
	for _, item := range items {
		m, _ := item.(map[string]any)
		out = append(out, members(m)...)
	}
	return out
}

// leading counts the lines before a document's first key.
func leading(doc string) int {
	n := 0
	for line := range strings.Lines(doc) {
		if s := strings.TrimSpace(line); s != "" && s != "---" && !strings.HasPrefix(s, "#") {
			break
		}
		n++
	}
	return n
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// filesUnder reads every YAML file of a directory of the shared data.
func filesUnder(t *testing.T, dir string, skip ...string) map[string]string {
	t.Helper()
	root := filepath.Join("..", "..", "..", "shared", "data", dir)
	if _, err := os.Stat(root); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("%s is not there", root)
	}
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			for _, s := range skip {
				if err == nil && d.Name() == s {
					return filepath.SkipDir
				}
			}
			return err
		}
		if ext := filepath.Ext(path); ext != ".yaml" && ext != ".yml" {
			return nil
		}
		content, err := os.ReadFile(path)
		rel, _ := filepath.Rel(root, path)
		files[rel] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func planOf(t *testing.T, target *target, set applier.Set) map[string]applier.Change {
	t.Helper()
	changes := map[string]applier.Change{}
	var mu sync.Mutex
	if _, err := target.Plan(t.Context(), set, func(c applier.Change) {
		mu.Lock()
		defer mu.Unlock()
		changes[c.Ref.String()] = c
	}); err != nil {
		t.Fatal(err)
	}
	return changes
}

func applyOf(t *testing.T, target *target, set applier.Set) map[string]applier.Result {
	t.Helper()
	results := map[string]applier.Result{}
	var mu sync.Mutex
	if _, err := target.Apply(t.Context(), set, func(r applier.Result) {
		mu.Lock()
		defer mu.Unlock()
		results[r.Ref.String()] = r
	}); err != nil {
		t.Fatal(err)
	}
	return results
}

func deleteOf(t *testing.T, target *target, del applier.Deletion) map[string]applier.Result {
	t.Helper()
	results := map[string]applier.Result{}
	if _, err := target.Delete(t.Context(), del, func(r applier.Result) { results[r.Ref.String()] = r }); err != nil {
		t.Fatal(err)
	}
	return results
}

func actions(changes map[string]applier.Change) map[string]applier.Action {
	out := map[string]applier.Action{}
	for k, c := range changes {
		out[k] = c.Action
	}
	return out
}

func outcomes(results map[string]applier.Result) map[string]applier.Outcome {
	out := map[string]applier.Outcome{}
	for k, r := range results {
		out[k] = r.Outcome
	}
	return out
}

func decodeYAML(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := utilyaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

// ctxOf is a context for clean-up, when the test's own has ended.
func ctxOf(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
