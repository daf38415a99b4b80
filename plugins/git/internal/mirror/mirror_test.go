package mirror_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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
	if _, err := f.mirror.Export(t.Context(), hash, dir, mirror.Limits{Entries: 1000, Bytes: 1 << 30}); err != nil {
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

// Several processes may work in one cache.
func TestProcessesShareAMirror(t *testing.T) {
	f := newFixture(t, remote.Native{})
	want := f.CommitFile("a", "1")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			cmd := exec.Command(exe)
			cmd.Env = append(os.Environ(), fetcherEnv+"="+f.dir+" "+f.Dir)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	for range 5 {
		f.fetch(t, main)
		f.export(t, want)
	}
	wg.Wait()
}

// A few objects are kept one by one with either transport, many in a pack.
func TestSmallFetchesLeaveNoPacks(t *testing.T) {
	transports(t, func(t *testing.T, tr remote.Transport) {
		f := newFixture(t, tr)
		for i := range 120 {
			f.Write(fmt.Sprintf("many/%03d", i), fmt.Sprint(i))
		}
		f.Commit("many")
		f.fetch(t, main)
		for i := range 5 {
			f.CommitFile("a", fmt.Sprint(i))
			f.fetch(t, main)
		}
		if packs := glob(t, f.repo(t), "objects/pack/*.pack"); len(packs) != 1 {
			t.Errorf("%d packs, want 1", len(packs))
		}
	})
}
