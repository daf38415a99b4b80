package resources

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestScopes(t *testing.T) {
	tests := []struct{ allowed, wanted, want []string }{
		{nil, nil, []string{""}},
		{nil, []string{"b", "a", "b"}, []string{"a", "b"}},
		{[]string{"b", "a"}, nil, []string{"a", "b"}},
		{[]string{"a", "b"}, []string{"b", "c"}, []string{"b"}},
		{[]string{"a"}, []string{"c"}, []string{}},
	}
	for _, tt := range tests {
		k := New(Options{Namespaces: tt.allowed})
		if diff := cmp.Diff(tt.want, k.scopes(tt.wanted)); diff != "" {
			t.Errorf("allowed %q, wanted %q (-want +got):\n%s", tt.allowed, tt.wanted, diff)
		}
	}
}

func TestCut(t *testing.T) {
	for _, s := range []string{"", "short", strings.Repeat("x", 1<<10), strings.Repeat("x", 1<<10+1), strings.Repeat("€", 700), "\xff" + strings.Repeat("ä", 600)} {
		got := cut(s, 1<<10)
		if len(got) > 1<<10 || len(s) > 1<<10 && !strings.HasSuffix(got, "...") || len(s) > 1<<10 && !utf8.ValidString(got) || len(s) <= 1<<10 && got != s {
			t.Errorf("%d bytes are cut to %d: %q", len(s), len(got), got)
		}
	}
}

// TestMemory never goes back in time, and keeps only what is followed.
func TestMemory(t *testing.T) {
	m := newMemory()
	want := func(version string) {
		t.Helper()
		if f, _ := m.get("u"); f.version != version {
			t.Errorf("version %q, want %q", f.version, version)
		}
	}
	m.renew("u", facts{version: "1"}) // nobody follows it
	want("")
	m.put("u", facts{version: "10"})
	m.put("u", facts{version: "9"})
	want("10")
	m.renew("u", facts{version: "11"})
	want("11")
	m.doubt("u")
	if _, known := m.get("u"); known {
		t.Error("what is in doubt is used")
	}
	m.put("u", facts{version: "3"}) // as after a restore of the server's store
	want("3")
	m.drop("u")
	want("")
}
