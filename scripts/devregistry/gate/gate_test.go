package gate

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Gate
		g.Issue("ann", "short", time.Minute, func(repository string) bool { return strings.HasPrefix(repository, "team/") })
		g.Issue("bob", "for ever", 0, nil)
		check := func(user, password, repository string, want bool) {
			t.Helper()
			if got := g.Check(user, password, repository); got != want {
				t.Errorf("Check(%q, %q, %q) = %t", user, password, repository, got)
			}
		}
		check("ann", "short", "", true)
		check("ann", "short", "team/app", true)
		check("ann", "short", "other", false)
		check("", "short", "team/app", true)
		check("bob", "short", "team/app", false)
		check("ann", "", "", false)
		check("", "", "", false)
		time.Sleep(time.Minute)
		check("ann", "short", "", true)
		time.Sleep(time.Nanosecond)
		check("ann", "short", "", false)
		check("", "short", "", false)
		check("bob", "for ever", "any", true)
		g.Revoke("bob", "for ever")
		check("bob", "for ever", "any", false)
	})
}

// A registry that runs for days does not keep what has expired.
func TestExpiredAreRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Gate
		for i := range 100 * minSweep {
			g.Issue("u", fmt.Sprint(i), time.Second, nil)
			time.Sleep(10 * time.Millisecond)
		}
		if n := len(g.issued); n > 2*minSweep {
			t.Errorf("%d are kept", n)
		}
	})
}
