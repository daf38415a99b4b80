package mirror_test

import (
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/plugins/git/internal/gittest"
	"github.com/sluice-gitops/sluice/plugins/git/internal/mirror"
	"github.com/sluice-gitops/sluice/plugins/git/internal/remote"
)

// 10,000 files and 1,000 commits, over HTTP on the same machine.
func BenchmarkMirror(b *testing.B) {
	root := b.TempDir()
	repo := gittest.NewRepoAt(b, filepath.Join(root, "mono"))
	repo.Import(10_000, 1_000)
	repo.Refs("feature-", 3_000)
	repo.Git("gc", "--quiet")
	server := gittest.NewHTTP(b, root, gittest.HTTPOptions{})
	address, err := remote.ParseAddress(server.URL + "/mono")
	if err != nil {
		b.Fatal(err)
	}
	cli, err := remote.FindCLI()
	if err != nil {
		b.Skip(err)
	}
	for _, tr := range []remote.Transport{cli, remote.Native{}} {
		open := func(b *testing.B) (*mirror.Mirror, func() string) {
			pool := mirror.NewPool(b.TempDir())
			b.Cleanup(pool.Close)
			m, err := pool.Mirror(address, "")
			if err != nil {
				b.Fatal(err)
			}
			access := accessOf(address, tr)
			return m, func() string {
				r, err := m.Fetch(b.Context(), access, main)
				if err != nil {
					b.Fatal(err)
				}
				return r[main].Hash
			}
		}
		b.Run("clone/"+tr.Name(), func(b *testing.B) {
			for b.Loop() {
				_, fetch := open(b)
				fetch()
			}
		})
		b.Run("poll/"+tr.Name(), func(b *testing.B) {
			_, fetch := open(b)
			fetch()
			server.Bytes()
			for b.Loop() {
				fetch()
			}
			b.ReportMetric(float64(server.Bytes())/float64(b.N), "wire-B/op")
		})
		b.Run("incremental/"+tr.Name(), func(b *testing.B) {
			_, fetch := open(b)
			fetch()
			for b.Loop() {
				b.StopTimer()
				want := repo.CommitFile("apps/team-000/app-00001.yaml", strconv.FormatInt(time.Now().UnixNano(), 10))
				b.StartTimer()
				if got := fetch(); got != want {
					b.Fatalf("%s, want %s", got, want)
				}
			}
		})
		b.Run("export/after "+tr.Name(), func(b *testing.B) {
			m, fetch := open(b)
			hash := fetch()
			for b.Loop() {
				b.StopTimer()
				dir := b.TempDir()
				b.StartTimer()
				if _, err := m.Export(b.Context(), hash, dir, mirror.Limits{Entries: 1_000_000, Bytes: 1 << 30}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
