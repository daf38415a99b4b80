package archtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
)

// maxSDKRequires bounds what a plugin author's go.mod inherits.
const maxSDKRequires = 8

// TestModules checks that modules stand only where a process or a public
// contract ends, and that the only replace leads to the local sdk.
func TestModules(t *testing.T) {
	for _, file := range goMods(t) {
		dir := filepath.ToSlash(filepath.Dir(file))
		if !mayBeModule(dir) {
			t.Errorf("%s: a module stands only at a process boundary or a public contract", file)
		}
		mod := parseMod(t, file)
		if want := strings.TrimSuffix(module+"/"+dir, "/."); mod.Module.Mod.Path != want {
			t.Errorf("%s: module path %s, want %s", file, mod.Module.Mod.Path, want)
		}
		for _, r := range mod.Replace {
			if dir == "scripts/devcluster" {
				continue // pins the staging modules of k8s.io/kubernetes, which has no other way
			}
			if dir == "sdk" || r.Old.Path != module+"/sdk" || !strings.HasPrefix(r.New.Path, ".") {
				t.Errorf("%s: replace of %s; the only replace is to the local sdk", file, r.Old.Path)
			}
		}
		if dir == "sdk" {
			checkSDKRequires(t, mod)
		}
	}
}

func checkSDKRequires(t *testing.T, mod *modfile.File) {
	direct := 0
	for _, r := range mod.Require {
		if !r.Indirect {
			direct++
		}
	}
	if direct > maxSDKRequires {
		t.Errorf("sdk/go.mod has %d direct requirements, more than %d: every plugin author carries them", direct, maxSDKRequires)
	}
}

func mayBeModule(dir string) bool {
	switch dir {
	case ".", "sdk", "examples", "scripts/devcluster", "scripts/devregistry", "scripts/protogen":
		return true
	}
	parent, _ := filepath.Split(dir)
	return parent == "plugins/" || parent == "examples/"
}

func parseMod(t *testing.T, file string) *modfile.File {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse(file, data, nil)
	if err != nil {
		t.Fatal(err)
	}
	return mod
}
