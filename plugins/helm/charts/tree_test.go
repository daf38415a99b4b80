package charts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// treeOf writes files below a new directory. A content that begins with "->"
// is a symbolic link.
func treeOf(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if to, link := strings.CutPrefix(content, "->"); link {
			if err := os.Symlink(to, file); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestTree(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	r.put("/index.yaml", []byte("entries:\n  db:\n"+r.publish(t, "db", "1.0.0", nil)+r.publish(t, "db", "1.5.0", nil)))
	chart := "apiVersion: v1\nname: ghost\nversion: 9.1.0\n"
	files := map[string]string{
		"charts/ghost/Chart.yaml":        chart,
		"charts/ghost/requirements.yaml": "dependencies:\n- name: db\n  version: 1.x.x\n  repository: https://stable.invalid/\n",
		"charts/ghost/templates/x.yaml":  "a: 1\n",
		"charts/ghost/linked":            "->../../README.md",
		"charts/ghost/.helmignore":       "*.bak\n",
		"charts/ghost/x.bak":             "x",
		"README.md":                      "read me",
	}
	tree := treeOf(t, files)
	s := store(t, "")
	ref := helm.ChartRef{Tree: tree, Path: "charts/ghost", Remotes: []helm.Remote{{Prefix: "https://stable.invalid", Mirror: r.URL, Auth: helm.Auth{CA: r.authority()}}}}
	c, err := s.Resolve(t.Context(), ref)
	if err != nil || c.Version != "9.1.0" || len(c.Dependencies) != 1 || c.Dependencies[0].Version != "1.5.0" {
		t.Fatalf("Resolve = %+v, %v", c, err)
	}
	dir := t.TempDir()
	if err := s.Pull(t.Context(), c, dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"charts/db-1.5.0.tgz": true, "templates/x.yaml": true, "linked": true, "x.bak": false} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s: %v, want there: %t", name, err, want)
		}
	}
	if err := os.WriteFile(filepath.Join(tree, "charts/ghost/requirements.lock"), []byte("dependencies:\n- name: db\n  version: 1.0.0\n  repository: https://stable.invalid/\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Pull(t.Context(), c, t.TempDir()); err == nil || !strings.Contains(err.Error(), "has changed") {
		t.Errorf("Pull of what has changed: %v", err)
	}
	locked, err := s.Resolve(t.Context(), ref)
	if err != nil || locked.Dependencies[0].Version != "1.0.0" || locked.Digest == c.Digest {
		t.Errorf("Resolve with a lock = %+v, %v", locked, err)
	}
}

func TestTreeErrors(t *testing.T) {
	t.Parallel()
	with := func(dependency string, more ...string) map[string]string {
		files := map[string]string{"c/Chart.yaml": "apiVersion: v2\nname: c\nversion: 1.0.0\ndependencies:\n" + dependency}
		for i := 0; i+1 < len(more); i += 2 {
			files[more[i]] = more[i+1]
		}
		return files
	}
	for name, tt := range map[string]struct {
		files map[string]string
		want  string
		line  int // of the diagnostic; zero: none
	}{
		"no chart":      {map[string]string{"x": ""}, "it has no Chart.yaml", 0},
		"malformed":     {map[string]string{"c/Chart.yaml": "a: [\n"}, "c/Chart.yaml is malformed", 0},
		"no repository": {with("- name: x\n- name: db\n  version: 1\n", "c/charts/x/Chart.yaml", ""), `c/Chart.yaml: dependency "db": it is not in charts/`, 6},
		"alias":         {with("- {name: db, repository: \"@stable\"}\n"), "write the URL", 1},
		"unreachable":   {with("- name: db\n  repository: https://127.0.0.1:1\n"), `dependency "db": chart db: https://127.0.0.1:1/index.yaml cannot be reached`, 0},
		"outside":       {with("- name: db\n  repository: file://../../x\n"), "outside the tree", 5},
		"link outside":  {map[string]string{"c/Chart.yaml": "name: c\nversion: 1.0.0\n", "c/passwd": "->/etc/passwd"}, "chart file c/passwd", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := store(t, "").Resolve(t.Context(), helm.ChartRef{Tree: treeOf(t, tt.files), Path: "c"})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			if list, ok := diag.From(err); tt.line > 0 && (!ok || list[0].Subject.Start.Line != tt.line) {
				t.Errorf("got %+v, want a diagnostic of line %d", list, tt.line)
			}
		})
	}
}

func TestLocalDependency(t *testing.T) {
	t.Parallel()
	tree := treeOf(t, map[string]string{
		"app/Chart.yaml": "apiVersion: v2\nname: app\nversion: 1.0.0\ndependencies:\n- name: lib\n  version: 1\n  repository: file://../lib\n",
		"lib/Chart.yaml": "apiVersion: v2\nname: lib\nversion: 1.4.0\n",
	})
	s := store(t, "")
	c, err := s.Resolve(t.Context(), helm.ChartRef{Tree: tree, Path: "app"})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := s.Pull(t.Context(), c, dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "charts/lib/Chart.yaml")); err != nil {
		t.Error(err)
	}
}
