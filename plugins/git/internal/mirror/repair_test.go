package mirror_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/sluice-gitops/sluice/plugins/git/internal/gittest"
	"github.com/sluice-gitops/sluice/plugins/git/internal/mirror"
	"github.com/sluice-gitops/sluice/plugins/git/internal/remote"
)

func TestDamageIsRepaired(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, repo string){
		"HEAD deleted": func(t *testing.T, repo string) { remove(t, filepath.Join(repo, "HEAD")) },
		"config emptied": func(t *testing.T, repo string) {
			if err := os.Truncate(filepath.Join(repo, "config"), 0); err != nil {
				t.Fatal(err)
			}
		},
		"objects deleted": func(t *testing.T, repo string) { remove(t, filepath.Join(repo, "objects")) },
		"packs and loose objects deleted": func(t *testing.T, repo string) {
			remove(t, filepath.Join(repo, "objects"))
			if err := os.MkdirAll(filepath.Join(repo, "objects", "pack"), 0o755); err != nil {
				t.Fatal(err)
			}
		},
		"ref is garbage": func(t *testing.T, repo string) {
			for _, path := range glob(t, repo, "refs/sluice/*") {
				write(t, path, "garbage\n")
			}
		},
		"ref is empty": func(t *testing.T, repo string) {
			for _, path := range glob(t, repo, "refs/sluice/*") {
				write(t, path, "")
			}
		},
		"objects cut": func(t *testing.T, repo string) {
			for _, path := range append(glob(t, repo, "objects/??/*"), glob(t, repo, "objects/pack/*.pack")...) {
				if err := os.Chmod(path, 0o644); err != nil {
					t.Fatal(err)
				}
				if err := os.Truncate(path, 10); err != nil {
					t.Fatal(err)
				}
			}
		},
		"locks left behind": func(t *testing.T, repo string) {
			for _, path := range append(glob(t, repo, "refs/sluice/*"), filepath.Join(repo, "packed-refs"), filepath.Join(repo, "config"), filepath.Join(repo, "shallow"), filepath.Join(repo, "HEAD")) {
				write(t, path+".lock", "")
			}
			write(t, filepath.Join(repo, "objects", "pack", "tmp_pack_abc123"), "PACK")
		},
		"a file stands in its place": func(t *testing.T, repo string) {
			remove(t, repo)
			write(t, repo, "no directory")
		},
	} {
		t.Run(name, func(t *testing.T) {
			transports(t, func(t *testing.T, tr remote.Transport) {
				f := newFixture(t, tr)
				old := f.CommitFile("a", "1")
				f.fetch(t, main)
				damage(t, f.repo(t))
				// A fetch with news; its commit must be readable.
				want := f.CommitFile("a", "2")
				if got := f.fetch(t, main); got != want {
					t.Fatalf("got %s, want %s", got, want)
				}
				if got := f.export(t, want); got["a"] != "2" {
					t.Fatalf("exported %v", got)
				}
				if err := f.mirror.Log(t.Context(), old, want, func(*object.Commit, []string) {}); err != nil {
					t.Fatalf("the history is not complete: %v", err)
				}
				if left := glob(t, f.repo(t), "objects/pack/tmp_*"); len(left) > 0 {
					t.Errorf("left behind: %v", left)
				}
			})
		})
	}
}

// Killed with SIGKILL at any moment of a fetch, the next one succeeds.
func TestKilledInTheMiddle(t *testing.T) {
	gittest.NeedGit(t)
	repo := gittest.NewRepo(t)
	for i := range 40 {
		repo.Write(filepath.Join("dir", string(rune('a'+i%26)), strings.Repeat("x", i+1)), strings.Repeat(string(rune('a'+i)), 100_000))
	}
	want := repo.Commit("much")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, after := range []time.Duration{0, 5, 10, 20, 30, 50, 80} {
		dir := t.TempDir()
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), fetcherEnv+"="+dir+" "+repo.Dir, "TMPDIR="+t.TempDir())
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(after*time.Millisecond, func() { _ = cmd.Process.Signal(syscall.SIGKILL) })
		_ = cmd.Wait() // killed, or done before
		timer.Stop()

		a, err := remote.ParseAddress(repo.Dir)
		if err != nil {
			t.Fatal(err)
		}
		pool := mirror.NewPool(dir)
		m, err := pool.Mirror(a, "")
		if err != nil {
			t.Fatal(err)
		}
		cli, err := remote.FindCLI()
		if err != nil {
			t.Skip(err)
		}
		r, err := m.Fetch(t.Context(), accessOf(a, cli), main)
		if err != nil || r[main].Hash != want {
			t.Fatalf("killed after %v ms: %v, %v", int(after), r, err)
		}
		if _, err := m.Export(t.Context(), want, t.TempDir(), mirror.Limits{Entries: 1000, Bytes: 1 << 30}); err != nil {
			t.Fatalf("killed after %v ms: %v", int(after), err)
		}
		pool.Close()
	}
}

func TestFailedFetchKeepsTheMirror(t *testing.T) {
	transports(t, func(t *testing.T, tr remote.Transport) {
		f := newFixture(t, tr)
		want := f.CommitFile("a", "1")
		f.fetch(t, main)
		away := f.Dir + "-away"
		if err := os.Rename(f.Dir, away); err != nil {
			t.Fatal(err)
		}
		_, err := f.mirror.Fetch(t.Context(), f.access, main)
		if fault, ok := errors.AsType[*remote.Fault](err); !ok || fault.Kind != remote.NotFound {
			t.Fatalf("error %v", err)
		}
		if got := f.export(t, want); got["a"] != "1" {
			t.Fatalf("exported %v", got)
		}
		if err := os.Rename(away, f.Dir); err != nil {
			t.Fatal(err)
		}
		f.fetch(t, main)
	})
}

// An object that a commit is just writing is not taken for what a killed
// process has left.
func TestHalfWrittenObjects(t *testing.T) {
	f := newFixture(t, remote.Native{})
	f.CommitFile("a", "1")
	f.fetch(t, main)
	half := filepath.Join(f.repo(t), "objects", "pack", "tmp_obj_1")
	write(t, half, "x")
	release, err := f.mirror.Use(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.fetch(t, main)
	if _, err := os.Stat(half); err != nil {
		t.Errorf("while somebody writes: %v", err)
	}
	release()
	f.fetch(t, main)
	if _, err := os.Stat(half); err == nil {
		t.Error("it stays for ever")
	}
}

// Many small packs, as large fetches leave them, are made into one.
func TestMaintenance(t *testing.T) {
	cli, err := remote.FindCLI()
	if err != nil {
		t.Skip(err)
	}
	f := newFixture(t, remote.Native{})
	var want string
	for range 42 {
		want = f.CommitFile("a", want)
		f.fetch(t, main)
		if out, err := exec.Command("git", "--git-dir", f.repo(t), "repack", "-d", "--quiet").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	before := len(glob(t, f.repo(t), "objects/pack/*.pack"))
	f.access.Transport = cli
	f.fetch(t, main)
	if after := len(glob(t, f.repo(t), "objects/pack/*.pack")); before < 42 || after > 2 {
		t.Errorf("%d packs before, %d after", before, after)
	}
	if got := f.export(t, want); len(got) != 1 {
		t.Errorf("exported %v", got)
	}
}

// Mirrors of sources that are gone are deleted some day, used ones are not.
func TestUnusedMirrorsAreDeleted(t *testing.T) {
	f := newFixture(t, remote.Native{})
	f.CommitFile("a", "1")
	f.fetch(t, main)
	old := filepath.Join(f.dir, strings.Repeat("ab", 16))
	if err := os.MkdirAll(filepath.Join(old, "repo"), 0o755); err != nil {
		t.Fatal(err)
	}
	longAgo := time.Now().Add(-100 * 24 * time.Hour)
	if err := os.Chtimes(old, longAgo, longAgo); err != nil {
		t.Fatal(err)
	}
	next := mirror.NewPool(f.dir)
	defer next.Close()
	if _, err := next.Mirror(remote.Address{Scheme: "file", Path: "/other"}, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old mirror is still there: %v", err)
	}
	f.repo(t)
}

// A server whose own objects are damaged must not cost the mirror.
func TestDamageOfTheServerKeepsTheMirror(t *testing.T) {
	transports(t, func(t *testing.T, tr remote.Transport) {
		f := newFixture(t, tr)
		want := f.CommitFile("a", "1")
		f.fetch(t, main)
		f.CommitFile("a", "2")
		for _, path := range glob(t, f.Dir, ".git/objects/??/*") {
			if err := os.Chmod(path, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(path, 10); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := f.mirror.Fetch(t.Context(), f.access, main); err == nil {
			t.Fatal("no error")
		} else {
			t.Log(err)
		}
		if got := f.export(t, want); got["a"] != "1" {
			t.Fatalf("exported %v", got)
		}
	})
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func glob(t *testing.T, repo, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(repo, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return found
}
