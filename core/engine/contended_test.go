package engine

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestContended: that another daemon applies for the same sync is a warning and one
// event, in time for a person to see; a predecessor is none.
func TestContended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit("one")
		w.configure(`
source "memory" "shop" { url = "mem://shop" }
sync "shop" { source = source.memory.shop }
`)
		start := func() *Engine {
			e := w.engine()
			if err := e.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			return e
		}
		e := start()
		expect(t, e, "sync.shop", Ready, "")
		w.stop(e)
		const other = "host elsewhere, process 7, data directory /x"
		w.target(kube).WrittenBy("shop", other) // who was here before
		e = start()
		sleepFor(t, time.Hour)
		if n := expect(t, e, "sync.shop", Ready, ""); len(n.Problems) > 0 {
			t.Errorf("a predecessor: %v", n.Problems)
		}
		w.repo("mem://shop").commit("one", "two")
		sleepFor(t, time.Hour)

		w.target(kube).WrittenBy("shop", other)
		sleepFor(t, 10*time.Minute)
		n := expect(t, e, "sync.shop", Ready, "")
		if len(n.Problems) != 1 || n.Problems[0].Severity != "warning" || !strings.Contains(n.Problems[0].Summary, other) {
			t.Errorf("problems %v", n.Problems)
		}
		w.repo("mem://shop").commit("one", "two", "three") // and so is the newest again
		sleepFor(t, 10*time.Minute)
		w.target(kube).WrittenBy("shop", other)
		sleepFor(t, 10*time.Minute)
		if got := eventsCalled(t, e, eventContended); len(got) != 1 || !strings.Contains(got[0], other) {
			t.Errorf("events %q, want one", got)
		}
		w.repo("mem://shop").commit("one", "two", "three", "four")
		sleepFor(t, 3*time.Hour)
		if n := expect(t, e, "sync.shop", Ready, ""); len(n.Problems) > 0 {
			t.Errorf("when it is over: %v", n.Problems)
		}
		w.stop(e)
	})
}
