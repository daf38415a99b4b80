package main

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/plugins/git/internal/gittest"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// With this variable the test binary counts in a file of a repository, a
// commit for each step, until it is killed.
const counterEnv = "SLUICE_TEST_COUNT" // directory, url and transport, separated by spaces

func counterSource(dir, url, transport string) (*plugin, *gitSource, error) {
	p := new(plugin)
	s, err := p.open(context.Background(), Config{
		URL: url, Branch: "main", Transport: transport, StallTimeout: time.Minute,
		Write: &Write{Author: "Counter <counter@example.com>"},
	}, env(filepath.Join(dir, "instance")))
	return p, s, err
}

// count adds one to the number in the file "n".
func count(ctx context.Context, s *gitSource) error {
	rev, err := s.Resolve(ctx, source.Revision{})
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "count-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what a killed process leaves is the test's
	if err := s.Fetch(ctx, rev, dir); err != nil {
		return err
	}
	old, err := os.ReadFile(filepath.Join(dir, "n"))
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(string(old))
	if err != nil {
		return err
	}
	_, err = s.Commit(ctx, source.Change{Edits: []source.Edit{{Path: "n", Old: old, New: []byte(strconv.Itoa(n + 1))}}})
	return err
}

func countForEver(args string) error {
	f := strings.Fields(args)
	_, s, err := counterSource(f[0], f[1], f[2])
	for err == nil {
		err = count(context.Background(), s)
	}
	return err
}

// A process that is killed while it writes leaves a mirror that works, and a
// repository in which every commit is there once.
func TestKilled(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	transports(t, func(t *testing.T, transport string) {
		root := t.TempDir()
		repo := gittest.NewBareAt(t, filepath.Join(root, "shop"))
		repo.CommitFiles("main", map[string]string{"n": "0"})
		var left atomic.Int32 // requests until the process is killed
		var victim atomic.Pointer[os.Process]
		url := gittest.NewHTTP(t, root, gittest.HTTPOptions{Intercept: func(http.ResponseWriter, *http.Request) bool {
			if left.Add(-1) == 0 {
				_ = victim.Load().Kill() // the request goes its way
			}
			return false
		}}).URL + "/shop"
		dir := t.TempDir()
		// It is killed at another moment of its second or third commit each time.
		for requests := int32(9); requests < 17; requests++ {
			cmd := exec.Command(exe)
			cmd.Env = append(os.Environ(), counterEnv+"="+dir+" "+url+" "+transport, "TMPDIR="+dir)
			var said strings.Builder
			cmd.Stderr = &said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			victim.Store(cmd.Process)
			left.Store(requests)
			if err := cmd.Wait(); said.Len() > 0 {
				t.Fatalf("the counter: %v: %s", err, said.String())
			}
		}
		p, s, err := counterSource(dir, url, transport)
		if err != nil {
			t.Fatal(err)
		}
		defer p.close()
		if err := count(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		repo.Git("fsck", "--strict")
		n, err := strconv.Atoi(repo.Git("cat-file", "blob", "main:n"))
		if err != nil || n < 8 {
			t.Errorf("counted to %d, %v", n, err)
		}
		if got := repo.Git("rev-list", "--count", "main"); got != strconv.Itoa(n+1) {
			t.Errorf("%s commits, want %d", got, n+1)
		}
	})
}

// A commit costs what it changes, however large the repository is.
func TestCommitCostsItsChange(t *testing.T) {
	gittest.NeedGit(t)
	work := gittest.NewRepo(t)
	work.Import(10_000, 0)
	transports(t, func(t *testing.T, transport string) {
		root := t.TempDir()
		repo := gittest.NewBareAt(t, filepath.Join(root, "shop"))
		work.Git("push", "--quiet", repo.Dir, "main")
		server := gittest.NewHTTP(t, root, gittest.HTTPOptions{})
		p := new(plugin)
		t.Cleanup(p.close)
		s, err := p.open(t.Context(), Config{URL: server.URL + "/shop", Branch: "main", Transport: transport, StallTimeout: time.Minute,
			Write: &Write{Author: "A <a@example.com>"}}, env(filepath.Join(root, "instance")))
		if err != nil {
			t.Fatal(err)
		}
		rev, err := s.Resolve(t.Context(), source.Revision{})
		if err != nil {
			t.Fatal(err)
		}
		const path = "apps/team-007/app-00357.yaml"
		old := repo.Git("cat-file", "blob", "main:"+path) + "\n"
		before := objects(repo)
		server.BodyBytes()
		server.Requests()
		done, err := s.Commit(t.Context(), source.Change{Edits: []source.Edit{edit(path, old, old+"# new\n")}})
		if err != nil {
			t.Fatal(err)
		}
		sent, requests := server.BodyBytes(), server.Requests()
		t.Logf("%d requests, %d bytes", len(requests), sent)
		if made := objects(repo) - before; made != 5 { // commit, three trees, file
			t.Errorf("%d new objects, want 5", made)
		}
		if sent > 16<<10 || len(requests) > 5 {
			t.Errorf("%d bytes in %d requests", sent, len(requests))
		}
		next, err := s.Resolve(t.Context(), rev)
		if err != nil || next.ID != done.ID {
			t.Fatalf("%v, %v", next, err)
		}
		if polled := server.BodyBytes(); polled > 1500 {
			t.Errorf("the poll after it took %d bytes: the commit was fetched", polled)
		}
		server.Requests()
		if err := s.Log(t.Context(), rev, next, func(source.Entry) {}); err != nil {
			t.Fatal(err)
		}
		if n := len(server.Requests()); n > 0 {
			t.Errorf("%d requests to read what was committed", n)
		}
	})
}

// objects counts the objects of a repository.
func objects(repo *gittest.Repo) int {
	return strings.Count(repo.Git("cat-file", "--batch-all-objects", "--batch-check=%(objectname)"), "\n")
}
