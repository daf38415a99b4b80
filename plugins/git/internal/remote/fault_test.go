package remote_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	git "github.com/go-git/go-git/v5"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/plugins/git/internal/gittest"
	"github.com/sluice-gitops/sluice/plugins/git/internal/remote"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

func TestFaults(t *testing.T) {
	root := t.TempDir()
	repo := gittest.NewRepoAt(t, filepath.Join(root, "shop"))
	repo.CommitFile("a", "1")
	gittest.NewRepoAt(t, filepath.Join(root, "empty"))
	plain := gittest.NewHTTP(t, root, gittest.HTTPOptions{})
	locked := gittest.NewHTTP(t, root, gittest.HTTPOptions{Intercept: gittest.BasicAuth("bob", "hunter2")})
	secure := gittest.NewHTTP(t, root, gittest.HTTPOptions{TLS: true})
	status := func(code int) *gittest.HTTP {
		return gittest.NewHTTP(t, root, gittest.HTTPOptions{Intercept: func(w http.ResponseWriter, _ *http.Request) bool {
			http.Error(w, "no", code)
			return true
		}})
	}
	forbidden, broken := status(403), status(503)
	gone := gittest.NewHTTP(t, root, gittest.HTTPOptions{})
	gone.Close()
	wrong := func(url string) remote.Target {
		tgt := target(t, url)
		tgt.Credentials = remote.Credentials{Username: "bob", Password: secret.New("s3cret-wrong")}
		return tgt
	}
	for _, c := range []struct {
		name   string
		target remote.Target
		specs  []remote.Spec
		kind   remote.Kind
		words  string
	}{
		{"no repository", target(t, plain.URL+"/nowhere"), mainSpec, remote.NotFound, "repository not found"},
		{"no local repository", target(t, "/nonexistent/repo"), mainSpec, remote.NotFound, "repository not found"},
		{"no branch", target(t, plain.URL+"/shop"), []remote.Spec{{Source: "refs/heads/nope", Local: "refs/sluice/x"}}, remote.RefMissing, `no branch "nope"`},
		{"empty repository", target(t, plain.URL+"/empty"), mainSpec, remote.RefMissing, `no branch "main"`},
		{"empty local repository", target(t, filepath.Join(root, "empty")), mainSpec, remote.RefMissing, `no branch "main"`},
		{"no credentials", target(t, locked.URL+"/shop"), mainSpec, remote.Denied, "asks for credentials"},
		{"wrong credentials", wrong(locked.URL + "/shop"), mainSpec, remote.Denied, `refused the password of user "bob"`},
		{"forbidden", wrong(forbidden.URL + "/shop"), mainSpec, remote.Denied, `user "bob"`},
		{"server error", target(t, broken.URL+"/shop"), mainSpec, remote.Busy, "503"},
		{"unknown authority", target(t, secure.URL+"/shop"), mainSpec, remote.BadTLS, "ca_file"},
		{"refused", target(t, gone.URL+"/shop"), mainSpec, remote.Refused, "cannot connect"},
		{"no such host", target(t, "https://git.invalid/shop"), mainSpec, remote.NoHost, "does not resolve"},
	} {
		t.Run(c.name, func(t *testing.T) {
			transports(t, func(t *testing.T, tr remote.Transport) {
				err := tr.Fetch(t.Context(), c.target, bare(t), c.specs)
				f := wantKind(t, err, c.kind)
				if !strings.Contains(f, c.words) {
					t.Errorf("%q does not say %q", f, c.words)
				}
				if strings.Contains(f, "s3cret") {
					t.Errorf("the password stands in %q", f)
				}
				if !strings.Contains(f, c.target.Address.String()) {
					t.Errorf("%q does not name the repository", f)
				}
			})
		})
	}
}

func TestHostKeys(t *testing.T) {
	key := gittest.NewKey(t, "")
	parsed, err := remote.ParseKey(secret.New(key.Private), secret.Secret{})
	if err != nil {
		t.Fatal(err)
	}
	sshd := gittest.NewSSH(t, key)
	other := gittest.NewKey(t, "")
	stranger, err := remote.ParseKey(secret.New(other.Private), secret.Secret{})
	if err != nil {
		t.Fatal(err)
	}
	repo := gittest.NewRepo(t)
	repo.CommitFile("a", "1")
	fields := strings.Fields(sshd.KnownHosts)
	changed := fields[0] + " " + other.Authorized
	for _, c := range []struct {
		name  string
		hosts string
		key   *remote.Key
		url   string
		kind  remote.Kind
		words []string
	}{
		{"unknown host key", "", parsed, sshd.URL(repo.Dir), remote.HostKey, []string{"known_hosts has no key of it", "ssh-ed25519 SHA256:", "ssh-keyscan -p " + sshd.Port}},
		{"changed host key", changed, parsed, sshd.URL(repo.Dir), remote.HostKey, []string{"expected ssh-ed25519 SHA256:", "somebody is in between"}},
		{"broken known_hosts", "what is this", parsed, sshd.URL(repo.Dir), remote.HostKey, []string{"known_hosts"}},
		{"refused key", sshd.KnownHosts, stranger, sshd.URL(repo.Dir), remote.Denied, []string{"refused the ssh key " + stranger.Fingerprint()}},
		{"no repository", sshd.KnownHosts, parsed, sshd.URL("/nonexistent"), remote.NotFound, []string{"repository not found"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			transports(t, func(t *testing.T, tr remote.Transport) {
				tgt := target(t, c.url)
				tgt.Credentials.Key, tgt.KnownHosts = c.key, c.hosts
				f := wantKind(t, tr.Fetch(t.Context(), tgt, bare(t), mainSpec), c.kind)
				for _, w := range c.words {
					if !strings.Contains(f, w) {
						t.Errorf("%q does not say %q", f, w)
					}
				}
			})
		})
	}
}

// A full disk is called a full disk, and does no harm.
func TestFullDisk(t *testing.T) {
	repo := gittest.NewRepo(t)
	noise := make([]byte, 4<<20)
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	repo.CommitFile("big", string(noise))
	transports(t, func(t *testing.T, tr remote.Transport) {
		disk := t.TempDir()
		if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk).CombinedOutput(); err != nil {
			t.Skipf("cannot mount a small file system (it takes root): %v: %s", err, out)
		}
		t.Cleanup(func() {
			// Lazily: go-git leaves the file that it could not fill to the
			// garbage collector.
			if out, err := exec.Command("umount", "--lazy", disk).CombinedOutput(); err != nil {
				t.Errorf("umount: %v: %s", err, out)
			}
		})
		dir := filepath.Join(disk, "repo")
		if _, err := git.PlainInit(dir, true); err != nil {
			t.Fatal(err)
		}
		err := tr.Fetch(t.Context(), target(t, repo.Dir), dir, mainSpec)
		wantKind(t, err, remote.DiskFull)
	})
}

// Nothing of a call may stay behind, and no secret may be seen while it runs.
func TestNothingIsLeft(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	key := gittest.NewKey(t, "")
	parsed, err := remote.ParseKey(secret.New(key.Private), secret.Secret{})
	if err != nil {
		t.Fatal(err)
	}
	sshd := gittest.NewSSH(t, key)
	repo := gittest.NewRepo(t)
	repo.CommitFile("a", "1")
	transports(t, func(t *testing.T, tr remote.Transport) {
		before := entries(t, tmp)
		tgt := target(t, sshd.URL(repo.Dir))
		tgt.Credentials.Key, tgt.KnownHosts = parsed, sshd.KnownHosts
		dir := bare(t)
		if err := tr.Fetch(t.Context(), tgt, dir, mainSpec); err != nil {
			t.Fatal(err)
		}
		for _, name := range entries(t, tmp) {
			if strings.HasPrefix(name, "sluice-git-") {
				t.Errorf("%s is left (before: %v)", name, before)
			}
		}
	})
}

// What a killed process left is removed, what a living one uses is not.
func TestSweep(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	dead := exec.Command("true")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	names := []string{fmt.Sprintf("sluice-git-%d-1", dead.Process.Pid), fmt.Sprintf("sluice-git-%d-1", os.Getpid()), "sluice-git-notes", "other"}
	for _, name := range names {
		if err := os.Mkdir(filepath.Join(tmp, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	remote.Sweep()
	want := slices.Sorted(slices.Values(names[1:]))
	if diff := cmp.Diff(want, entries(t, tmp)); diff != "" {
		t.Error(diff)
	}
}

func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}
