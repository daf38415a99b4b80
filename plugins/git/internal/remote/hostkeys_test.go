package remote

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
)

// The fingerprints are those that the forges publish:
// docs.github.com (SSH key fingerprints), docs.gitlab.com (GitLab.com
// settings), support.atlassian.com (Configure SSH), docs.codeberg.org (SSH
// fingerprints), learn.microsoft.com (Azure Repos, SSH keys), man.sr.ht.
func TestBuiltinHostKeys(t *testing.T) {
	want := map[string][]string{
		"github.com":              {"SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU", "SHA256:p2QAMXNIC1TJYWeIOttrVc98/R1BUFWu3/LiyKgUfQM"},
		"ssh.github.com":          {"SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU", "SHA256:p2QAMXNIC1TJYWeIOttrVc98/R1BUFWu3/LiyKgUfQM"},
		"[ssh.github.com]:443":    {"SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU", "SHA256:p2QAMXNIC1TJYWeIOttrVc98/R1BUFWu3/LiyKgUfQM"},
		"gitlab.com":              {"SHA256:eUXGGm1YGsMAS7vkcx6JOJdOGHPem5gQp4taiCfCLB8", "SHA256:HbW3g8zUjNSksFbqTiUWPWg2Bq1x8xdGUrliXFzSnUw"},
		"bitbucket.org":           {"SHA256:ybgmFkzwOSotHTHLJgHO0QN8L0xErw6vd0VhFA9m3SM", "SHA256:FC73VB6C4OQLSCrjEayhMp9UMxS97caD/Yyi2bhW/J0"},
		"codeberg.org":            {"SHA256:mIlxA9k46MmM6qdJOdMnAQpzGxF4WIVVL+fj+wZbw0g", "SHA256:T9FYDEHELhVkulEKKwge5aVhVTbqCW0MIRwAfpARs/E"},
		"ssh.dev.azure.com":       {"SHA256:ohD8VZEXGWo6Ez8GSEJQ9WpafgLFsOfLOtGGQCQo6Og"},
		"vs-ssh.visualstudio.com": {"SHA256:ohD8VZEXGWo6Ez8GSEJQ9WpafgLFsOfLOtGGQCQo6Og"},
		"git.sr.ht":               {"SHA256:WXXNZu0YyoE3KBl5qh4GsnF1vR0NeEPYJAiPME+P09g", "SHA256:1nUUjsHH0qwfjI3dYFWlXTjPUP/Un1oo6wfu9YL8tCQ"},
	}
	got := map[string][]string{}
	for rest := []byte(builtinHosts); ; {
		var hosts []string
		var key ssh.PublicKey
		var err error
		_, hosts, key, _, rest, err = ssh.ParseKnownHosts(rest)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range hosts {
			got[h] = append(got[h], ssh.FingerprintSHA256(key))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

// Lines of the user for a forge replace the built-in ones; lines for another
// host do not.
func TestOwnHostKeysWin(t *testing.T) {
	own := strings.Fields(strings.Split(builtinHosts, "gitlab.com ")[1])
	line := "github.com " + own[0] + " " + own[1] + "\n"
	for _, c := range []struct {
		host string
		keys int
	}{{"github.com", 1}, {"gitlab.com", 2}, {"git.example.com", 0}} {
		target := Target{Address: Address{Scheme: "ssh", User: "git", Host: c.host, Path: "a"}, KnownHosts: line}
		path, err := writeKnownHosts(t.TempDir(), target)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := trusted(path, target.Address)
		if err != nil || len(keys) != c.keys {
			t.Errorf("%s: %d keys, %v; want %d", c.host, len(keys), err, c.keys)
		}
	}
}

func TestClassify(t *testing.T) {
	for stderr, want := range map[string]Kind{
		"fatal: unable to access 'https://x/': Failed to connect to x port 443: Connection timed out":          Timeout,
		"ERROR: Repository not found.\nfatal: Could not read from remote repository.":                          NotFound,
		"remote: The project you were looking for could not be found or you don't have permission to view it.": NotFound,
		"error: RPC failed; curl 28 Operation too slow. Less than 1 bytes/sec transferred the last 30 seconds": Timeout,
		"fatal: write error: No space left on device\nfatal: index-pack failed":                                DiskFull,
		"fatal: unable to write loose object file: No space left on device":                                    DiskFull,
		"error: object file objects/12/34 is empty\nfatal: loose object 1234 is corrupt":                       Corrupt,
		"fatal: remote error: upload-pack: not our ref 1234567890123456789012345678901234567890":               RefMissing,
		"fatal: couldn't find remote ref refs/heads/x":                                                         RefMissing,
		"ssh: Could not resolve hostname git.invalid: Name or service not known":                               NoHost,
		"ssh: connect to host 127.0.0.1 port 1: Connection refused":                                            Refused,
		"git@x: Permission denied (publickey).\nfatal: Could not read from remote repository.":                 Denied,
		"fatal: unable to access 'https://x/': The requested URL returned error: 429":                          Busy,
		"fatal: the remote end hung up unexpectedly":                                                           Busy,
		"Timeout, server x not responding.":                                                                    Timeout,
		"something new":                                                                                        Other,
		"":                                                                                                     Other,
	} {
		if got := classify(Target{}, stderr); got.Kind != want {
			t.Errorf("%q: kind %d, want %d", stderr, got.Kind, want)
		}
	}
}

func TestScrub(t *testing.T) {
	long := strings.Repeat("x", 1000)
	for in, want := range map[string]string{
		"a\n b\x1b[31m\tc": "a b [31mc"[:4] + "[31m c",
		"the hunter2 one":  "the (redacted) one",
		long:               long[:300] + "...",
	} {
		if got := scrub(in, []string{"hunter2"}); got != want {
			t.Errorf("scrub(%.20q) = %q, want %q", in, got, want)
		}
	}
}
