package glob_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/sluice-gitops/sluice/core/images/glob"
)

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true},
		{"", "a", false},
		{"a", "a", true},
		{"a", "ab", false},
		{"*", "", true},
		{"*", "anything/at:all", true},
		{"**", "x", true},
		{"master-*", "master-", true},
		{"master-*", "master-abc", true},
		{"master-*", "xmaster-abc", false},
		{"*-rc", "1-rc", true},
		{"*-rc", "1-rc1", false},
		{"a*a", "a", false}, // the two cannot be the same letter
		{"a*a", "aa", true},
		{"a*b*c", "axbybzc", true},
		{"a*b*c", "acb", false},
		{"*b*", "abc", true},
		{"k8s.gcr.io/*", "k8s.gcr.io/pause/x", true},
		{"k8s.gcr.io/*", "k8sxgcr.io/pause", false},
		{"v1.?", "v1.2", false},
		{"[a]", "a", false},
		{"*aab", "aaab", true},
	} {
		if got := glob.Match(tt.pattern, tt.s); got != tt.want {
			t.Errorf("Match(%q, %q) = %v", tt.pattern, tt.s, got)
		}
	}
}

// FuzzMatch compares with a regular expression that says the same.
func FuzzMatch(f *testing.F) {
	f.Add("a*b*", "axb")
	f.Add("*.gcr.io/*", "eu.gcr.io/a/b")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if !regexpCanSay(pattern) || !regexpCanSay(s) {
			t.Skip("not text")
		}
		form := "(?s)^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$"
		re, err := regexp.Compile(form)
		if err != nil {
			t.Skip(err)
		}
		if got, want := glob.Match(pattern, s), re.MatchString(s); got != want {
			t.Errorf("Match(%q, %q) = %v", pattern, s, got)
		}
	})
}

func regexpCanSay(s string) bool { return strings.ToValidUTF8(s, "") == s && len(s) < 200 }
