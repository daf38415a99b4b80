package record

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRing(t *testing.T) {
	for added, want := range map[int][]int{0: nil, 2: {0, 1}, 3: {0, 1, 2}, 4: {1, 2, 3}, 8: {5, 6, 7}} {
		l := NewLog(3)
		for i := range added {
			l.Add(Entry{Status: i})
		}
		var got []int
		for _, e := range l.Entries() {
			got = append(got, e.Status)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d added: %s", added, diff)
		}
		l.Reset()
		if left := l.Entries(); len(left) > 0 {
			t.Errorf("after a reset: %v", left)
		}
	}
}

func TestAuthOf(t *testing.T) {
	for header, want := range map[string][2]string{
		"":                              {"none", ""},
		"Basic YW5uOnA=":                {"basic", "ann"},
		"bearer opaque":                 {"bearer", ""},
		"Bearer e30.e30.x":              {"bearer", ""},
		"Bearer x.eyJzdWIiOiJhbm4ifQ.y": {"bearer", "ann"},
		"Bearer x.!.y":                  {"bearer", ""},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header.Set("Authorization", header)
		if kind, user := authOf(r); kind != want[0] || user != want[1] {
			t.Errorf("%q: %s, %q", header, kind, user)
		}
	}
}
