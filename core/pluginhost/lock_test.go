//go:build unix

package pluginhost

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	sumA = strings.Repeat("a1", 32)
	sumB = strings.Repeat("b2", 32)
)

func TestLockFileFormat(t *testing.T) {
	l := &Lock{}
	l.set("git", "1.4.2", sumA)
	l.Plugins["git"].SHA256["plan9/arm"] = sumB
	l.set("kubernetes", "0.1.0", sumB)
	path := filepath.Join(t.TempDir(), "plugins.lock.hcl")
	if err := l.Write(path); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := lockHeader + `
plugin "git" {
  version = "1.4.2"
  sha256 = {
    "` + platform() + `" = "` + sumA + `"
    "plan9/arm" = "` + sumB + `"
  }
}

plugin "kubernetes" {
  version = "0.1.0"
  sha256 = {
    "` + platform() + `" = "` + sumB + `"
  }
}
`
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
	back, err := ReadLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(l, back); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Errorf("Write left %v", left)
	}
}

func TestLockKeepsOtherPlatformsOfTheSameVersion(t *testing.T) {
	l := &Lock{Plugins: map[string]LockedPlugin{"git": {Version: "1", SHA256: map[string]string{"plan9/arm": sumA}}}}
	l.set("git", "1", sumB)
	if len(l.Plugins["git"].SHA256) != 2 {
		t.Errorf("same version: %v", l.Plugins["git"])
	}
	l.set("git", "2", sumB)
	if len(l.Plugins["git"].SHA256) != 1 {
		t.Errorf("new version: %v", l.Plugins["git"])
	}
}

func TestLockFileErrors(t *testing.T) {
	good := "plugin \"git\" {\n  version = \"1\"\n  sha256 = {\n    \"linux/amd64\" = \"" + sumA + "\"\n  }\n}\n"
	if _, err := ParseLock("f", []byte("# c\n// c\n\n"+good)); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ in, want string }{
		"other block":   {"source \"git\" {\n}\n", `f:1: want ` + "`plugin"},
		"no name":       {"plugin {\n", "f:1: want"},
		"one line":      {"plugin \"git\" { }\n", "f:1: want"},
		"twice":         {good + good, `f:7: plugin "git" stands here a second time`},
		"no sums":       {"plugin \"git\" {\n  version = \"1\"\n}\n", `f:3: plugin "git" has no sha256`},
		"other key":     {"plugin \"git\" {\n  source = \"x\"\n", "f:2: want version, sha256 or }"},
		"bad version":   {"plugin \"git\" {\n  version = 1\n", "f:2: version wants a string"},
		"two sums":      {"plugin \"git\" {\n  sha256 = {\n  }\n  sha256 = {\n", "f:4: want one"},
		"short sum":     {strings.Replace(good, sumA, "abcd", 1), `f:4: "abcd" is not a sha256`},
		"not hex":       {strings.Replace(good, sumA, strings.Repeat("zz", 32), 1), "f:4: "},
		"bad pair":      {strings.Replace(good, "\" = \"", "\" \"", 2), "f:4: want"},
		"unterminated":  {strings.TrimSuffix(good, "}\n"), `f:6: the file ends inside plugin "git"`},
		"bad quote":     {"plugin \"git {\n", "f:1: want"},
		"endless line":  {"plugin " + strings.Repeat("x", 1<<20), "f:1: "},
		"after a pair":  {strings.Replace(good, sumA+`"`, sumA+`" x`, 1), "f:4: want"},
		"interpolation": {"plugin \"git\" {\n  version = \"1\" + x\n", "f:2: version wants a string"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseLock("f", []byte(tt.in))
			wantError(t, err, tt.want)
		})
	}
	if _, err := ReadLock(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func TestLockOfAnotherPlatform(t *testing.T) {
	l := &Lock{Plugins: map[string]LockedPlugin{"git": {SHA256: map[string]string{"plan9/arm": sumA}}}}
	wantError(t, l.check("f", "git", &executable{path: "/p", sha: sumA}), "not for "+platform(), `"sluice plugin lock"`)
}

func FuzzParseLock(f *testing.F) {
	f.Add("plugin \"git\" {\n  version = \"1\"\n  sha256 = {\n    \"linux/amd64\" = \"" + sumA + "\"\n  }\n}\n")
	f.Add("# x\nplugin \"\\u0000\" {\n")
	f.Fuzz(func(t *testing.T, in string) {
		l, err := ParseLock("f", []byte(in))
		if err != nil {
			return
		}
		back, err := ParseLock("f", l.Bytes())
		if err != nil {
			t.Fatalf("what was read cannot be written: %v\n%s", err, l.Bytes())
		}
		if diff := cmp.Diff(l, back); diff != "" {
			t.Errorf("round trip (-want +got):\n%s", diff)
		}
	})
}
