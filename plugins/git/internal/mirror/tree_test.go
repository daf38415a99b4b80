package mirror_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/plugins/git/internal/mirror"
	"github.com/sluice-gitops/sluice/plugins/git/internal/remote"
)

func TestExport(t *testing.T) {
	f := newFixture(t, remote.Native{})
	f.Write("plain", "text\r\n")
	f.Write("deep/er/file", "x")
	f.Write("empty", "")
	f.Write("run.sh", "#!/bin/sh\n")
	f.Write("big", strings.Repeat("0123456789", 300_000))
	f.Write("lfs.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 3\n")
	f.Write(".gitattributes", "* text eol=lf\n*.sh export-ignore\n")
	for link, target := range map[string]string{"inside": "deep/er/file", "absolute": "/etc/passwd", "outside": "../../x", "deep/up": "../plain"} {
		if err := os.Symlink(target, filepath.Join(f.Dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(f.Dir, "run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	f.Git("-c", "core.autocrlf=false", "add", "--all")
	f.Git("update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("12", 20)+",vendor/lib")
	f.Git("commit", "--quiet", "--message", "all")
	hash := f.fetch(t, main)
	dir := t.TempDir()
	x, err := f.mirror.Export(t.Context(), hash, dir, mirror.Limits{Entries: 1000, Bytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	got := files(t, dir)
	if len(got["big"]) != 3_000_000 {
		t.Errorf("big has %d bytes", len(got["big"]))
	}
	delete(got, "big")
	want := map[string]string{
		"plain":        "text\n", // as git stored it: .gitattributes applied when it was added
		"deep/er/file": "x", "empty": "", "run.sh": "* #!/bin/sh\n",
		"lfs.bin":        "version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 3\n",
		".gitattributes": "* text eol=lf\n*.sh export-ignore\n",
		"inside":         "-> deep/er/file", "absolute": "-> /etc/passwd", "outside": "-> ../../x", "deep/up": "-> ../plain",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(mirror.Exported{Files: 7, Submodules: []string{"vendor/lib"}, LFS: []string{"lfs.bin"}}, x); diff != "" {
		t.Error(diff)
	}
}

// Forged trees, which git itself would never make.
func TestExportRefusesForgedTrees(t *testing.T) {
	f := newFixture(t, remote.Native{})
	f.CommitFile("a", "1")
	raw := func(hex string) string {
		var b strings.Builder
		for i := 0; i < len(hex); i += 2 {
			var v byte
			for _, c := range hex[i : i+2] {
				v = v<<4 | byte(strings.IndexRune("0123456789abcdef", c))
			}
			b.WriteByte(v)
		}
		return b.String()
	}
	tree := func(entries ...string) string {
		return f.GitInput(strings.Join(entries, ""), "hash-object", "-t", "tree", "-w", "--literally", "--stdin")
	}
	blob := raw(f.GitInput("evil", "hash-object", "-w", "--stdin"))
	passwd := raw(f.GitInput("../outside", "hash-object", "-w", "--stdin"))
	sub := raw(tree("100644 f\x00" + blob))
	for name, entries := range map[string][]string{
		"parent":                 {"40000 ..\x00" + sub},
		"parent file":            {"100644 ..\x00" + blob},
		"slash":                  {"100644 ../x\x00" + blob},
		"absolute":               {"100644 /tmp/x\x00" + blob},
		"git directory":          {"40000 .git\x00" + sub},
		"git directory, case":    {"40000 .GiT\x00" + sub},
		"empty name":             {"100644 \x00" + blob},
		"link and then its file": {"120000 a\x00" + passwd, "40000 a\x00" + sub},
		"same name twice":        {"100644 a\x00" + blob, "100644 a\x00" + blob},
	} {
		t.Run(name, func(t *testing.T) {
			commit := f.Git("commit-tree", "-m", "forged", tree(entries...))
			f.Git("update-ref", "refs/heads/forged", commit)
			r, err := f.mirror.Fetch(t.Context(), f.access, "refs/heads/forged")
			if err != nil {
				t.Logf("refused when it came in: %v", err)
				return
			}
			hash := r["refs/heads/forged"].Hash
			parent := t.TempDir()
			dir := filepath.Join(parent, "out")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			_, err = f.mirror.Export(t.Context(), hash, dir, mirror.Limits{Entries: 1000, Bytes: 1 << 30})
			if err == nil {
				t.Fatalf("exported %v", files(t, dir))
			}
			if !errors.Is(err, mirror.ErrUnsafe) && !errors.Is(err, mirror.ErrDamaged) {
				t.Errorf("error %v", err)
			}
			if left, _ := os.ReadDir(parent); len(left) != 1 {
				t.Errorf("something was written outside: %v", left)
			}
		})
	}
}

// A few objects that stand for a hundred million files.
func TestExportRefusesABomb(t *testing.T) {
	f := newFixture(t, remote.Native{})
	f.CommitFile("a", "1")
	hash := f.GitInput("boom", "hash-object", "-w", "--stdin")
	entry := "100644 blob "
	for range 8 {
		var tree strings.Builder
		for i := range 10 {
			tree.WriteString(entry + hash + "\t" + string(rune('a'+i)) + "\n")
		}
		hash = f.GitInput(tree.String(), "mktree")
		entry = "040000 tree "
	}
	f.Git("update-ref", "refs/heads/main", f.Git("commit-tree", "-m", "bomb", hash))
	commit := f.fetch(t, main)
	if _, err := f.mirror.Export(t.Context(), commit, t.TempDir(), mirror.Limits{Entries: 1000, Bytes: 1 << 30}); !errors.Is(err, mirror.ErrUnsafe) {
		t.Fatalf("error %v", err)
	}
}

func TestLog(t *testing.T) {
	f := newFixture(t, remote.Native{})
	c1 := f.CommitFile("a/1", "1")
	c2 := f.CommitFile("a/2", "2")
	f.Git("checkout", "--quiet", "-b", "side", c1)
	s1 := f.CommitFile("b/side", "s")
	f.Git("checkout", "--quiet", "main")
	f.Git("rm", "--quiet", "a/1")
	c3 := f.Commit("remove")
	f.Git("merge", "--quiet", "--no-ff", "--message", "merge", "side")
	f.Git("mv", "a/2", "a/renamed")
	c5 := f.Commit("rename")
	merge := f.Git("rev-parse", c5+"^")
	f.fetch(t, main)

	log := func(from, to string) [][]string {
		t.Helper()
		var out [][]string
		err := f.mirror.Log(t.Context(), from, to, func(c *object.Commit, paths []string) {
			out = append(out, append([]string{c.Hash.String()}, paths...))
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if diff := cmp.Diff([][]string{{c1, "a/1"}}, log("", c1)); diff != "" {
		t.Error("alone:", diff)
	}
	if diff := cmp.Diff([][]string(nil), log(c5, c5)); diff != "" {
		t.Error("same:", diff)
	}
	if diff := cmp.Diff([][]string{{c5, "a/2", "a/renamed"}}, log(merge, c5)); diff != "" {
		t.Error("one:", diff)
	}
	got := log(c2, c5)
	var hashes []string
	for _, e := range got {
		hashes = append(hashes, e[0])
	}
	slices.Sort(hashes)
	want := []string{s1, c3, merge, c5}
	slices.Sort(want)
	if diff := cmp.Diff(want, hashes); diff != "" {
		t.Error("with a merge:", diff)
	}
	if last := got[len(got)-1]; last[0] != c5 {
		t.Errorf("the last is %v, want the newest", last)
	}
	if err := f.mirror.Log(t.Context(), strings.Repeat("12", 20), c5, nil); !errors.Is(err, mirror.ErrUnknown) {
		t.Errorf("unknown: %v", err)
	}
}

// TestBytesAreBounded keeps one compressed blob from filling the disk.
func TestBytesAreBounded(t *testing.T) {
	f := newFixture(t, remote.Native{})
	hash := f.CommitFile("a", strings.Repeat("x", 3000))
	if _, err := f.mirror.Fetch(t.Context(), f.access, main); err != nil {
		t.Fatal(err)
	}
	for bytes, fits := range map[int64]bool{3000: true, 2999: false} {
		_, err := f.mirror.Export(t.Context(), hash, t.TempDir(), mirror.Limits{Entries: 10, Bytes: bytes})
		if errors.Is(err, mirror.ErrUnsafe) == fits {
			t.Errorf("with a limit of %d bytes: %v", bytes, err)
		}
	}
}
