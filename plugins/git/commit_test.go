package main

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/plugins/git/internal/gittest"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// writers runs a test against each protocol with each transport. config is of
// a source that may write to the bare repository repo.
func writers(t *testing.T, test func(t *testing.T, repo *gittest.Repo, config values)) {
	writersOver(t, []string{"http", "https with password", "ssh", "file"}, test)
}

func writersOver(t *testing.T, protocols []string, test func(t *testing.T, repo *gittest.Repo, config values)) {
	key := gittest.NewKey(t, "")
	transports(t, func(t *testing.T, transport string) {
		for _, protocol := range protocols {
			t.Run(protocol, func(t *testing.T) {
				root := t.TempDir()
				repo := gittest.NewBareAt(t, filepath.Join(root, "shop"))
				config := values{"transport": transport, "write": values{}}
				switch protocol {
				case "http":
					config["url"] = gittest.NewHTTP(t, root, gittest.HTTPOptions{}).URL + "/shop"
				case "https with password":
					server := gittest.NewHTTP(t, root, gittest.HTTPOptions{TLS: true, Intercept: gittest.BasicAuth("bob", "hunter2")})
					config["url"] = server.URL + "/shop"
					config["auth"] = values{"username": "bob", "password": "hunter2"}
					config["tls"] = values{"ca_file": server.CAFile}
				case "ssh":
					server := gittest.NewSSH(t, key)
					config["url"] = server.URL(repo.Dir)
					config["ssh"] = values{"key": key.Private, "known_hosts": server.KnownHosts}
				case "file":
					config["url"] = repo.Dir
				}
				test(t, repo, config)
			})
		}
	})
}

func edit(path, old, content string) source.Edit {
	return source.Edit{Path: path, Old: []byte(old), New: []byte(content)}
}

func TestCommit(t *testing.T) {
	writers(t, func(t *testing.T, repo *gittest.Repo, config values) {
		first := repo.CommitFiles("main", map[string]string{"a.yaml": "one", "dir/b.yaml": "two"})
		s := start(t).Source("git", config)
		rev := resolve(t, s, source.Revision{})
		if rev.ID != first {
			t.Fatalf("%s, want %s", rev.ID, first)
		}
		done, err := s.Commit(t.Context(), source.Change{
			Edits:    []source.Edit{edit("dir/b.yaml", "two", "three"), {Path: "new/c.yaml", New: []byte("c")}, {Path: "a.yaml", Old: []byte("one")}},
			Message:  "Release shop",
			Trailers: map[string]string{"Sluice-User": "ann", "Sluice-Cause": "release"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if head := repo.Git("rev-parse", "main"); head != done.ID || done.Ref != "main" {
			t.Fatalf("pushed %s to %s, the head is %s", done.ID, done.Ref, head)
		}
		if diff := cmp.Diff("100644 dir/b.yaml three\n100644 new/c.yaml c\n", repo.Files("main")); diff != "" {
			t.Error(diff)
		}
		got := repo.Git("log", "-1", "--format=%P|%an <%ae>|%cn <%ce>|%B", "main")
		want := first + "|Sluice <sluice@localhost>|Sluice <sluice@localhost>|Release shop\n\nSluice-Cause: release\nSluice-User: ann"
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if next := resolve(t, s, rev); next.ID != done.ID {
			t.Errorf("resolved %s", next.ID)
		}
		if diff := cmp.Diff(map[string]string{"dir/b.yaml": "three", "new/c.yaml": "c"}, fetch(t, s, done)); diff != "" {
			t.Error(diff)
		}
		var touched []string
		if err := s.Log(t.Context(), rev, done, func(e source.Entry) { touched = append(touched, e.Paths...) }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"a.yaml", "dir/b.yaml", "new/c.yaml"}, touched); diff != "" {
			t.Error(diff)
		}
		repo.Git("fsck", "--strict")
	})
}
