package engine

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestReloadRetriesScans: a repository that could not be scanned is tried again
// when it is configured in another way how its registry is reached, and only
// then.
func TestReloadRetriesScans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := func(more string) string {
			return shop + "\nimages { include = [\"registry.test/*\"] }\nregistry \"registry.test\" {\n  endpoint = \"https://127.0.0.1:1\"\n" + more + "}\n"
		}
		w := newWorld(t)
		e := w.startRunning(registry(""),
			deployment("shop", "web", "registry.test/web:1", map[string]string{"fluxcd.io/automated": "true"}))
		scans := func() int {
			list := e.ImageScans()
			if len(list) != 1 || list[0].Error == "" {
				t.Fatalf("scans %+v", list)
			}
			return list[0].Failures
		}
		sleepFor(t, 3*time.Hour)
		const within = 20 * time.Second
		for _, step := range []struct {
			name, more string
			retried    int
		}{
			{"nothing new", "", 0},
			{"moved by lines", "\n\n", 0},
			{"another rate", "  rps = 7\n", 1},
			{"nothing new again", "  rps = 7\n", 0},
		} {
			if due := time.Until(e.ImageScans()[0].Next); due < 2*within {
				sleepFor(t, due+within) // what is due anyway does not count
			}
			before := scans()
			w.configure(registry(step.more))
			if st, err := e.Reload(t.Context()); err != nil || !st.OK {
				t.Fatalf("%s: %+v, %v", step.name, st, err)
			}
			sleepFor(t, within)
			if got := scans(); got != before+step.retried {
				t.Errorf("%s: %d failures after %d", step.name, got, before)
			}
		}
	})
}
