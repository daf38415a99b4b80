package charts

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// TestDeliveredToOthers: a chart that is on disk is not given to whoever knows
// its digest, but to those whom its repository has given it.
func TestDeliveredToOthers(t *testing.T) {
	t.Parallel()
	private := newRepository(t)
	private.user, private.password = "u", "pw"
	entry := private.publish(t, "web", "1.0.0", nil)
	private.put("/index.yaml", []byte("entries:\n  web:\n"+entry))
	s := store(t, "")
	ref := helm.ChartRef{Repository: private.URL, Name: "web", Auth: helm.Auth{Username: "u", Password: secret.New("pw"), CA: private.authority()}}
	known, err := s.Resolve(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Pull(t.Context(), known, t.TempDir()); err != nil {
		t.Fatal(err)
	}

	claims := newRepository(t)
	claims.put("/index.yaml", []byte("entries:\n  web:\n"+entry)) // with the digest, and without the archive
	c, err := s.Resolve(t.Context(), helm.ChartRef{Repository: claims.URL, Name: "web", Auth: helm.Auth{CA: claims.authority()}})
	if err != nil || c.Digest != known.Digest {
		t.Fatalf("Resolve = %+v, %v", c, err)
	}
	if err := s.Pull(t.Context(), c, t.TempDir()); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("a repository that only claims the digest: %v", err)
	}

	for name, auth := range map[string]helm.Auth{
		"nobody":         {CA: private.authority()},
		"wrong password": {Username: "u", Password: secret.New("x"), CA: private.authority()},
	} {
		other := known
		other.Ref.Auth = auth
		if err := s.Pull(t.Context(), other, t.TempDir()); err == nil || !strings.Contains(err.Error(), "401") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := s.Resolve(t.Context(), other.Ref); err == nil || !strings.Contains(err.Error(), "401") {
			t.Errorf("index for %s: %v", name, err)
		}
	}
}

func TestDots(t *testing.T) {
	t.Parallel()
	remotes := []helm.Remote{{Prefix: "https://charts.invalid/public", Mirror: "https://mirror.invalid/a", Auth: helm.Auth{Username: "u"}}}
	s := store(t, "")
	for _, raw := range []string{
		"https://charts.invalid/public/../private", "https://charts.invalid/public/%2e%2E/private", "https://charts.invalid/public/..%2fprivate",
		"https://charts.invalid/public/.", `https://charts.invalid/public/..%5cprivate`, "oci://charts.invalid/public/../private",
	} {
		if at, err := s.locate(helm.ChartRef{Remotes: remotes}, raw); err == nil || !strings.Contains(err.Error(), "may not have . or ..") {
			t.Errorf("%s is %v, %v", raw, at, err)
		}
	}
	for raw, want := range map[string]string{
		"https://charts.invalid/public/.well-known/a..b": "https://mirror.invalid/a/.well-known/a..b",
		"https://charts.invalid/publicity":               "https://charts.invalid/publicity",
	} {
		if at, err := s.locate(helm.ChartRef{Remotes: remotes}, raw); err != nil || at.URL.String() != want {
			t.Errorf("%s is %v, %v; want %s", raw, at, err, want)
		}
	}
}

// TestArchiveOfMirror: what an index names relative to itself stays below what
// the mirror stands in for.
func TestArchiveOfMirror(t *testing.T) {
	t.Parallel()
	ref := helm.ChartRef{Repository: "https://charts.invalid/public/stable",
		Remotes: []helm.Remote{{Prefix: "https://charts.invalid/public", Mirror: "https://mirror.invalid/a", Auth: helm.Auth{Username: "u"}}}}
	s := store(t, "")
	where, err := s.locate(ref, ref.Repository)
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		"web.tgz":               "u@https://mirror.invalid/a/stable/web.tgz",
		"../web.tgz":            "u@https://mirror.invalid/a/web.tgz",
		"../../private/web.tgz": "@https://charts.invalid/private/web.tgz",
		"/b/web.tgz":            "u@https://mirror.invalid/b/web.tgz", // the mirror's own words
		"https://charts.invalid/public/b/web.tgz": "u@https://mirror.invalid/a/b/web.tgz",
		"https://other.invalid/web.tgz":           "@https://other.invalid/web.tgz",
	} {
		at, err := s.archiveAt(ref, where, found{url: in})
		if got := fmt.Sprintf("%s@%s", at.auth.Username, at.URL); err != nil || got != want {
			t.Errorf("%s is %s, %v; want %s", in, got, err, want)
		}
	}
	if at, err := s.archiveAt(ref, where, found{url: "%2e%2e/%2e%2e/private/web.tgz"}); err == nil {
		t.Errorf("encoded steps lead to %s", at)
	}
}

// TestArchivesInArchives: what dependencies hold counts with the rest.
func TestArchivesInArchives(t *testing.T) {
	t.Parallel()
	zeros := strings.Repeat("\x00", 300<<10)
	heavy := string(archived(t, "sub", "1.0.0", map[string]string{"files/zeros": zeros}))
	deep := heavy
	for range deepestArchive {
		deep = string(archived(t, "sub", "1.0.0", map[string]string{"charts/sub-1.0.0.tgz": deep}))
	}
	many := map[string]string{}
	for i := range 20 { // 6 MB, where 4 MiB are allowed
		many[fmt.Sprintf("charts/sub%d-1.0.0.tgz", i)] = heavy
	}
	inner := string(archived(t, "mid", "1.0.0", many))
	odd := map[string]string{} // Helm takes them for slashes
	for file, content := range many {
		odd[strings.ReplaceAll(file, "/", `\`)] = content
	}
	strange := string(archived(t, "mid", "1.0.0", odd))
	for name, tt := range map[string]struct {
		files map[string]string
		want  error
	}{
		"some":       {map[string]string{"charts/sub-1.0.0.tgz": heavy}, nil},
		"many":       {many, errHeavy},
		"inside":     {map[string]string{"charts/mid-1.0.0.tgz": inner}, errHeavy},
		"backslash":  {map[string]string{"charts/mid-1.0.0.tgz": strange}, errHeavy},
		"deep":       {map[string]string{"charts/sub-1.0.0.tgz": deep}, errDeep},
		"no archive": {map[string]string{"charts/README.tgz": "text"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRepository(t)
			r.put("/index.yaml", []byte("entries:\n  web:\n"+r.publish(t, "web", "1.0.0", tt.files)))
			s := store(t, "")
			c, err := s.Resolve(t.Context(), helm.ChartRef{Repository: r.URL, Name: "web", Auth: helm.Auth{CA: r.authority()}})
			if err != nil {
				t.Fatal(err)
			}
			err = s.Pull(t.Context(), c, t.TempDir())
			if tt.want == nil && err != nil || tt.want != nil && (err == nil || !strings.Contains(err.Error(), tt.want.Error()) || !sdk.IsPermanent(err)) {
				t.Errorf("from a repository: %v, want %v", err, tt.want)
			}
			dir := t.TempDir()
			for file, content := range tt.files {
				if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(file)), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := weigh("web", dir, 4<<20); tt.want == nil && err != nil || tt.want != nil && (err == nil || !strings.Contains(err.Error(), tt.want.Error())) {
				t.Errorf("in a directory: %v, want %v", err, tt.want)
			}
		})
	}
}
