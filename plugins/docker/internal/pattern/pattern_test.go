package pattern

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		key, host, repository string
		want, prefix          bool
	}{
		{"registry.example.com", "registry.example.com", "team/app", true, true},
		{"https://registry.example.com", "registry.example.com", "team/app", true, true},
		{"http://Registry.Example.com/", "registry.example.com", "team/app", true, true},
		{"https://registry.example.com/v1/", "registry.example.com", "team/app", true, true},
		{"https://registry.example.com/v2", "registry.example.com", "team/app", true, true},
		{"registry.example.com", "other.example.com", "team/app", false, false},
		{"example.com", "registry.example.com", "team/app", false, false},

		{"registry.example.com/team", "registry.example.com", "team/app", true, true},
		{"registry.example.com/team/", "registry.example.com", "team", true, true},
		{"registry.example.com/team", "registry.example.com", "teams/app", false, true},
		{"registry.example.com/team", "registry.example.com", "other/app", false, false},

		{"registry.example.com:5000", "registry.example.com:5000", "app", true, true},
		{"registry.example.com:5000", "registry.example.com", "app", false, false},
		{"registry.example.com", "registry.example.com:5000", "app", false, false},
		{"registry.example.com:443", "registry.example.com", "app", true, true},
		{"[::1]:5000", "[::1]:5000", "app", true, true},
		{"[::1]:5000", "[::1]:5001", "app", false, false},
		{"[::1]", "[::1]", "app", true, true},

		{"*.example.com", "registry.example.com", "app", true, true},
		{"*.example.com", "a.b.example.com", "app", false, false},
		{"reg*.example.com", "registry.example.com", "app", true, true},
		{"*.*.amazonaws.com", "a.b.amazonaws.com", "app", true, true},

		{"https://index.docker.io/v1/", "index.docker.io", "library/nginx", true, true},
		{"docker.io", "index.docker.io", "library/nginx", true, true},
		{"registry-1.docker.io", "docker.io", "library/nginx", true, true},
		{"docker.io/library", "index.docker.io", "library/nginx", true, true},
		{"docker.io/team", "index.docker.io", "library/nginx", false, false},
	} {
		p, err := Parse(c.key)
		if err != nil {
			t.Errorf("%s: %v", c.key, err)
			continue
		}
		if got := p.Match(c.host, c.repository); got != c.want {
			t.Errorf("%s: Match(%s, %s) = %t", c.key, c.host, c.repository, got)
		}
		if got := p.MatchPrefix(c.host, c.repository); got != c.prefix {
			t.Errorf("%s: MatchPrefix(%s, %s) = %t", c.key, c.host, c.repository, got)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, key := range []string{"", "/", "https://", "https:///path", "/team/app", ":5000", "a b", "user@host", "host?q", "[a-.example.com", "\x00"} {
		if p, err := Parse(key); err == nil {
			t.Errorf("%q is %+v", key, p)
		}
	}
}

func TestCompare(t *testing.T) {
	want := []string{"r.example.com/team/app", "*.example.com/team", "a.example.com", "r.example.com", "*.example.com", "*.*.com"}
	var patterns []Pattern
	for _, key := range want {
		p, err := Parse(key)
		if err != nil {
			t.Fatal(err)
		}
		patterns = append(patterns, p)
	}
	shuffled := slices.Clone(patterns)
	slices.Reverse(shuffled)
	slices.SortFunc(shuffled, Compare)
	if diff := cmp.Diff(patterns, shuffled, cmp.AllowUnexported(Pattern{})); diff != "" {
		t.Error(diff)
	}
}
