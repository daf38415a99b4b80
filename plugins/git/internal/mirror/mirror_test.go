package mirror_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/plugins/git/internal/gittest"
	"github.com/sluice-gitops/sluice/plugins/git/internal/mirror"
	"github.com/sluice-gitops/sluice/plugins/git/internal/remote"
)

// With this variable the test binary fetches once and exits: a process to
// kill.
const fetcherEnv = "SLUICE_TEST_FETCH" // pool directory and url, separated by a space

func TestMain(m *testing.M) {
	if dir, url, ok := strings.Cut(os.Getenv(fetcherEnv), " "); ok {
		if err := fetchOnce(dir, url); err != nil {
			println(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func fetchOnce(dir, url string) error {
	a, err := remote.ParseAddress(url)
	if err != nil {
		return err
	}
	m, err := mirror.NewPool(dir).Mirror(a, "")
	if err != nil {
		return err
	}
	cli, err := remote.FindCLI()
	if err != nil {
		return err
	}
	_, err = m.Fetch(context.Background(), accessOf(a, cli), main)
	return err
}

const main = "refs/heads/main"

func accessOf(a remote.Address, tr remote.Transport) mirror.Access {
	return mirror.Access{
		URL:       a.String(),
		Transport: tr,
		Target: func(context.Context, bool) (remote.Target, error) {
			return remote.Target{Address: a, Stall: 10 * time.Second}, nil
		},
		Log: hclog.NewNullLogger(),
	}
}

// counted counts fetches, and holds them up as long as it is told to.
type counted struct {
	remote.Transport
	fetches atomic.Int32
	lists   atomic.Int32
	before  func(ctx context.Context, specs []remote.Spec) error
}

func (c *counted) Fetch(ctx context.Context, t remote.Target, dir string, specs []remote.Spec) error {
	c.fetches.Add(1)
	if c.before != nil {
		if err := c.before(ctx, specs); err != nil {
			return err
		}
	}
	return c.Transport.Fetch(ctx, t, dir, specs)
}

func (c *counted) List(ctx context.Context, t remote.Target) (remote.Listing, error) {
	c.lists.Add(1)
	return c.Transport.List(ctx, t)
}

// fixture is a repository with a mirror of it.
type fixture struct {
	*gittest.Repo
	pool   *mirror.Pool
	dir    string // of the pool
	mirror *mirror.Mirror
	tr     *counted
	access mirror.Access
}

func newFixture(t *testing.T, tr remote.Transport) *fixture {
	t.Helper()
	f := &fixture{Repo: gittest.NewRepo(t), dir: t.TempDir(), tr: &counted{Transport: tr}}
	a, err := remote.ParseAddress(f.Dir)
	if err != nil {
		t.Fatal(err)
	}
	f.pool = mirror.NewPool(f.dir)
	t.Cleanup(f.pool.Close)
	if f.mirror, err = f.pool.Mirror(a, ""); err != nil {
		t.Fatal(err)
	}
	f.access = accessOf(a, f.tr)
	return f
}

// repo is the path of the bare repository.
func (f *fixture) repo(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(f.dir, "*", "repo"))
	if err != nil || len(found) != 1 {
		t.Fatalf("mirrors: %v, %v", found, err)
	}
	return found[0]
}

func (f *fixture) fetch(t *testing.T, ref string) string {
	t.Helper()
	r, err := f.mirror.Fetch(t.Context(), f.access, ref)
	if err != nil {
		t.Fatal(err)
	}
	if r[ref].Err != nil {
		t.Fatal(r[ref].Err)
	}
	return r[ref].Hash
}

func (f *fixture) export(t *testing.T, hash string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	if _, err := f.mirror.Export(t.Context(), hash, dir, 1000); err != nil {
		t.Fatal(err)
	}
	return files(t, dir)
}

// files lists what is below dir: content by path, with "-> " for links and
// "* " for executables.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		if d.Type() == os.ModeSymlink {
			target, err := os.Readlink(path)
			out[rel] = "-> " + target
			return err
		}
		b, err := os.ReadFile(path)
		info, _ := d.Info()
		out[rel] = string(b)
		if info.Mode()&0o100 != 0 {
			out[rel] = "* " + string(b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func transports(t *testing.T, test func(t *testing.T, tr remote.Transport)) {
	cli, err := remote.FindCLI()
	if err != nil {
		t.Skip(err)
	}
	for _, tr := range []remote.Transport{cli, remote.Native{}} {
		t.Run(tr.Name(), func(t *testing.T) { test(t, tr) })
	}
}

func TestWishesShareOneFetch(t *testing.T) {
	f := newFixture(t, remote.Native{})
	want := f.CommitFile("a", "1")
	f.Git("branch", "dev")
	running := make(chan struct{})
	release := make(chan struct{})
	var once sync.Once
	f.tr.before = func(context.Context, []remote.Spec) error {
		once.Do(func() { close(running); <-release })
		return nil
	}
	var wg sync.WaitGroup
	ask := func(ref string) {
		wg.Go(func() {
			r, err := f.mirror.Fetch(t.Context(), f.access, ref)
			if err != nil || r[ref].Hash != want {
				t.Errorf("%s: %v, %v", ref, r, err)
			}
		})
	}
	ask(main)
	<-running
	for range 50 {
		ask(main)
		ask("refs/heads/dev")
	}
	f.mirror.WaitForWishes(100)
	close(release)
	wg.Wait()
	if n := f.tr.fetches.Load(); n != 2 {
		t.Fatalf("101 wishes took %d fetches, want 2", n)
	}
}

func TestMissingRefHarmsOnlyItself(t *testing.T) {
	transports(t, func(t *testing.T, tr remote.Transport) {
		f := newFixture(t, tr)
		want := f.CommitFile("a", "1")
		r, err := f.mirror.Fetch(t.Context(), f.access, "refs/heads/nope", main, "refs/tags/none")
		if err != nil {
			t.Fatal(err)
		}
		if r[main].Hash != want || r[main].Err != nil {
			t.Fatalf("main: %+v", r[main])
		}
		for _, ref := range []string{"refs/heads/nope", "refs/tags/none"} {
			fault, ok := errors.AsType[*remote.Fault](r[ref].Err)
			if !ok || fault.Kind != remote.RefMissing || fault.Ref != ref {
				t.Errorf("%s: %v", ref, r[ref].Err)
			}
		}
	})
}

func TestCancelledWhenNobodyWaits(t *testing.T) {
	f := newFixture(t, remote.Native{})
	f.CommitFile("a", "1")
	started, stopped := make(chan struct{}), make(chan struct{})
	f.tr.before = func(ctx context.Context, _ []remote.Spec) error {
		close(started)
		<-ctx.Done()
		close(stopped)
		return ctx.Err()
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-started; cancel() }()
	if _, err := f.mirror.Fetch(ctx, f.access, main); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	<-stopped
	f.tr.before = nil
	f.fetch(t, main)
}

func TestCommitByHash(t *testing.T) {
	transports(t, func(t *testing.T, tr remote.Transport) {
		f := newFixture(t, tr)
		first := f.CommitFile("a", "1")
		f.CommitFile("a", "2")
		f.fetch(t, first)
		if got := f.export(t, first); got["a"] != "1" {
			t.Fatalf("exported %v", got)
		}
		absent := strings.Repeat("12", 20)
		r, err := f.mirror.Fetch(t.Context(), f.access, absent)
		if err != nil {
			t.Fatal(err)
		}
		if fault, ok := errors.AsType[*remote.Fault](r[absent].Err); !ok || fault.Kind != remote.RefMissing {
			t.Fatalf("absent commit: %+v", r[absent])
		}
	})
}

func TestBranchGivesWayToDirectory(t *testing.T) {
	transports(t, func(t *testing.T, tr remote.Transport) {
		f := newFixture(t, tr)
		f.CommitFile("a", "1")
		f.Git("branch", "team")
		f.fetch(t, "refs/heads/team")
		f.Git("branch", "-D", "team")
		f.Git("branch", "team/shop")
		f.fetch(t, "refs/heads/team/shop")
	})
}

func TestDefaultBranch(t *testing.T) {
	transports(t, func(t *testing.T, tr remote.Transport) {
		f := newFixture(t, tr)
		want := f.CommitFile("a", "1")
		check := func(ref, hash string, lists int32) {
			t.Helper()
			got, r, err := f.mirror.FetchDefault(t.Context(), f.access)
			if err != nil || r.Err != nil {
				t.Fatal(err, r.Err)
			}
			if got != ref || r.Hash != hash || f.tr.lists.Load() != lists {
				t.Fatalf("%s at %s after %d lists, want %s at %s after %d", got, r.Hash, f.tr.lists.Load(), ref, hash, lists)
			}
		}
		check(main, want, 1)
		want = f.CommitFile("a", "2")
		check(main, want, 1) // it is remembered
		f.Git("checkout", "--quiet", "-b", "trunk")
		want = f.CommitFile("a", "3")
		check("refs/heads/trunk", want, 2)
		f.Git("branch", "-D", "main")
		check("refs/heads/trunk", want, 2)
		f.Git("branch", "-m", "trunk", "stem")
		check("refs/heads/stem", want, 3)
	})
}

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
		cmd.Env = append(os.Environ(), fetcherEnv+"="+dir+" "+repo.Dir)
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
		if _, err := m.Export(t.Context(), want, t.TempDir(), 1000); err != nil {
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

// Many small packs are made into one.
func TestMaintenance(t *testing.T) {
	cli, err := remote.FindCLI()
	if err != nil {
		t.Skip(err)
	}
	f := newFixture(t, remote.Native{}) // it leaves a pack at each fetch
	var want string
	for range 42 {
		want = f.CommitFile("a", want)
		f.fetch(t, main)
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
	x, err := f.mirror.Export(t.Context(), hash, dir, 1000)
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
			_, err = f.mirror.Export(t.Context(), hash, dir, 1000)
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
	if _, err := f.mirror.Export(t.Context(), commit, t.TempDir(), 1000); !errors.Is(err, mirror.ErrUnsafe) {
		t.Fatalf("error %v", err)
	}
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
