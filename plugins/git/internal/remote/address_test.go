package remote_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/plugins/git/internal/remote"
)

func TestParseAddress(t *testing.T) {
	for _, c := range []struct {
		raw  string
		want remote.Address
		text string // of String
	}{
		{"https://git.example.com/a/b.git", remote.Address{Scheme: "https", Host: "git.example.com", Path: "/a/b.git"}, "https://git.example.com/a/b.git"},
		{"HTTPS://bob@git.example.com:8443/a%20b", remote.Address{Scheme: "https", User: "bob", Host: "git.example.com", Port: "8443", Path: "/a%20b"}, "https://git.example.com:8443/a%20b"},
		{"http://[::1]:3000/a", remote.Address{Scheme: "http", Host: "::1", Port: "3000", Path: "/a"}, "http://[::1]:3000/a"},
		{"ssh://git.example.com/a", remote.Address{Scheme: "ssh", User: "git", Host: "git.example.com", Path: "/a"}, "ssh://git@git.example.com/a"},
		{"ssh://me@git.example.com:2222/~/a", remote.Address{Scheme: "ssh", User: "me", Host: "git.example.com", Port: "2222", Path: "/~/a"}, "ssh://me@git.example.com:2222/~/a"},
		{"git@git.example.com:a/b.git", remote.Address{Scheme: "ssh", User: "git", Host: "git.example.com", Path: "a/b.git", Short: true}, "git@git.example.com:a/b.git"},
		{"git.example.com:a", remote.Address{Scheme: "ssh", User: "git", Host: "git.example.com", Path: "a", Short: true}, "git@git.example.com:a"},
		{"git@git.example.com:/srv/a", remote.Address{Scheme: "ssh", User: "git", Host: "git.example.com", Path: "/srv/a", Short: true}, "git@git.example.com:/srv/a"},
		{" /srv/git/../a ", remote.Address{Scheme: "file", Path: "/srv/a"}, "/srv/a"},
		{"file:///srv/a", remote.Address{Scheme: "file", Path: "/srv/a"}, "/srv/a"},
	} {
		got, err := remote.ParseAddress(c.raw)
		if err != nil {
			t.Errorf("%s: %v", c.raw, err)
			continue
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.raw, diff)
		}
		if got.String() != c.text {
			t.Errorf("%s: written as %s, want %s", c.raw, got, c.text)
		}
	}
}

// What is accepted holds no option, no password and no line break, and means
// the same when it is read again.
func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"https://a/b", "git@a:b", "ssh://u@h:22/p", "/srv/x", "file:///x", "-x@y:z", "https://u:p@h/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := remote.ParseAddress(raw)
		if err != nil {
			return
		}
		text := a.String()
		if strings.HasPrefix(text, "-") || strings.ContainsAny(text, "\n\r\x00") {
			t.Fatalf("%q is written as %q", raw, text)
		}
		b, err := remote.ParseAddress(text)
		if err != nil {
			t.Fatalf("%q is written as %q, which is refused: %v", raw, text, err)
		}
		if b.String() != text {
			t.Fatalf("%q is written as %q, and then as %q", raw, text, b)
		}
	})
}
