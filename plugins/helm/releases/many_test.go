package releases

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluice-gitops/sluice/sdk/helm"
)

// TestMany: many releases of one chart at once, and what the next look at all
// of them costs.
func TestMany(t *testing.T) {
	m, ns := real(t)
	const many = 40
	r := simple(t, ns, "one")
	all := func() {
		t.Helper()
		var group errgroup.Group
		for i := range many {
			r := r
			r.Ref.Name = fmt.Sprintf("web-%d", i)
			group.Go(func() error {
				_, err := m.Upgrade(t.Context(), r, nil)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	for _, what := range []string{"install", "upgrade"} {
		start := time.Now()
		all()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		t.Logf("%s of %d releases: %s; %d MiB of heap so far", what, many, time.Since(start).Round(time.Millisecond), memory.HeapSys>>20)
	}
	n := 0
	start := time.Now()
	if err := m.List(t.Context(), ns, func(_ helm.ReleaseRef, rev helm.Revision) {
		if n++; rev.Number != 2 || rev.Digest != "d-one" {
			t.Errorf("listed %+v", rev)
		}
	}); err != nil || n != many {
		t.Errorf("listed %d releases, %v", n, err)
	}
	t.Logf("list: %s", time.Since(start).Round(time.Millisecond))
}
