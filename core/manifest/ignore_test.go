package manifest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/manifest"
)

// A .sluiceignore leaves out exactly what git leaves out with the same lines in
// a .gitignore.
func TestIgnoreFileIsReadAsGitDoes(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no git to compare with")
	}
	files := []string{"a.yaml", "b.yaml", "c.yaml", "d/a.yaml", "d/b.yaml", "d/x/b.yaml", "d/x/y/b.yaml", "x/b.yaml", "x/z/a.yaml", "#a.yaml",
		"!a.yaml", "a b.yaml", "foo/bar.yaml", "foo/q/bar.yaml", "eXXf.yaml", "e/f.yaml", "dd.yaml", "a*.yaml"}
	content := map[string]string{}
	for i, f := range files {
		content[f] = cm(fmt.Sprint("a", i))
	}
	dir := tree(t, content)
	gitOutput(t, dir, "init", "-q")
	for _, lines := range []string{"", "# a.yaml", "a.yaml", "*.yaml", "/a.yaml", "d/", "d/a.yaml", "/d/*.yaml", "**/a.yaml", "d/**", "d/**/b.yaml",
		"**/x/", "*.y?ml", "[ab].yaml", "[!a].yaml", "a.yaml\n!a.yaml", "*\n!*/\n!a.yaml", "d/*\n!d/a.yaml", `\#a.yaml`, `\!a.yaml`, "a.yaml ",
		`a\ b.yaml`, "**", "d**", "x/**/", "foo/**/bar.yaml", "e*f.yaml", "/*/a.yaml", "d/x", "x/b.yaml", "!a.yaml", "d//a.yaml", "[a-c].yaml", `a\*.yaml`} {
		t.Run(lines, func(t *testing.T) {
			for _, name := range []string{".gitignore", ".sluiceignore"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(lines+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want := map[string]bool{}
			for _, f := range strings.Split(gitOutput(t, dir, "ls-files", "-z", "--others", "--exclude-standard"), "\x00") {
				if filepath.Ext(f) == ".yaml" {
					want[f] = true
				}
			}
			got := map[string]bool{}
			for _, o := range load(t, dir, manifest.Options{}).Objects {
				got[o.File] = true
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func gitOutput(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %v: %v", args, err)
	}
	return string(out)
}
