package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"

	"github.com/sluice-gitops/sluice/plugins/git/internal/gittest"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// signedSource writes a commit and a marker that are signed with a key.
func signedSource(t *testing.T, sign values) *gittest.Repo {
	t.Helper()
	repo := gittest.NewBareAt(t, filepath.Join(t.TempDir(), "shop"))
	repo.CommitFiles("main", map[string]string{"a": "1"})
	s := start(t).Source("git", values{"url": repo.Dir, "write": values{"author": "Robot <robot@example.com>", "sign": sign}})
	rev := commit(t, s, edit("a", "1", "2"))
	if err := s.Mark(t.Context(), "mark", rev, "Sync pointer"); err != nil {
		t.Fatal(err)
	}
	repo.Git("fsck", "--strict")
	return repo
}

func TestSignWithSSH(t *testing.T) {
	for name, passphrase := range map[string]string{"plain": "", "protected": "sesame"} {
		t.Run(name, func(t *testing.T) {
			key := gittest.NewKey(t, passphrase)
			file := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(file, []byte(key.Private), 0o600); err != nil {
				t.Fatal(err)
			}
			sign := values{"key_file": file}
			if passphrase != "" {
				sign["passphrase"] = passphrase
			}
			repo := signedSource(t, sign)
			signers := filepath.Join(t.TempDir(), "signers")
			if err := os.WriteFile(signers, []byte("robot@example.com "+key.Authorized), 0o600); err != nil {
				t.Fatal(err)
			}
			repo.Git("config", "gpg.ssh.allowedSignersFile", signers)
			for _, args := range [][]string{{"verify-commit", "main"}, {"verify-tag", "mark"}} {
				if out := repo.Git(args...); !strings.Contains(out, `Good "git" signature for robot@example.com`) {
					t.Errorf("git %v: %s", args, out)
				}
			}
		})
	}
}

func TestSignWithOpenPGP(t *testing.T) {
	entity, err := openpgp.NewEntity("Robot", "", "robot@example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	export := func(kind string, write func(out *strings.Builder) error) string {
		var raw, text strings.Builder
		if err := write(&raw); err != nil {
			t.Fatal(err)
		}
		w, err := armor.Encode(&text, kind, nil)
		if err == nil {
			_, err = w.Write([]byte(raw.String()))
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		return text.String()
	}
	private := export(openpgp.PrivateKeyType, func(out *strings.Builder) error { return entity.SerializePrivate(out, nil) })
	public := export(openpgp.PublicKeyType, func(out *strings.Builder) error { return entity.Serialize(out) })

	repo := signedSource(t, values{"key": private})
	r, err := git.PlainOpen(repo.Dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := r.CommitObject(plumbing.NewHash(repo.Git("rev-parse", "main")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Verify(public); err != nil {
		t.Errorf("the commit: %v", err)
	}
	tag, err := r.TagObject(plumbing.NewHash(repo.Git("rev-parse", "refs/tags/mark")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tag.Verify(public); err != nil {
		t.Errorf("the tag: %v", err)
	}
}

// A key file that cannot be read stops what would not be signed.
func TestSignKeyMissing(t *testing.T) {
	repo := gittest.NewBareAt(t, filepath.Join(t.TempDir(), "shop"))
	repo.CommitFiles("main", map[string]string{"a": "1"})
	s := start(t).Source("git", values{"url": repo.Dir, "write": values{"sign": values{"key_file": "/nonexistent/key"}}})
	_, err := s.Commit(t.Context(), source.Change{Edits: []source.Edit{edit("a", "1", "2")}})
	if err == nil || !strings.Contains(err.Error(), "/nonexistent/key") {
		t.Errorf("error %v", err)
	}
	if got := repo.Git("rev-list", "--count", "main"); got != "1" {
		t.Error("an unsigned commit was made")
	}
}
