package writeback_test

import (
	"strings"
	"testing"
)

// What no plugin takes in one message goes into several commits, and what does
// not fit into any is refused alone.
func TestLargeFiles(t *testing.T) {
	files, changes := many(5)
	pad := func(name string, mib int) {
		files[name] += "#" + strings.Repeat(strings.Repeat("x", 127)+"\n#", mib<<20>>7) + "\n"
	}
	pad("app000.yaml", 3) // 6 MiB, before and after
	pad("app001.yaml", 3)
	pad("app002.yaml", 5) // 10 MiB: more than several share, but one may
	pad("app003.yaml", 9) // 18 MiB
	r := newRemote(t, files)
	g := newRig(t, r, nil)
	g.submit(changes...)
	g.Start()
	for i, c := range changes {
		o := g.wait(c.ID)
		if i == 3 {
			if !strings.HasPrefix(o.Err, "app003.yaml, of 9.") || !strings.HasSuffix(o.Err, "less than 15 MiB; split the file") {
				t.Errorf("%s: %q", c.ID, o.Err)
			}
		} else if o.Err != "" || o.Errors != nil || o.Unchanged {
			t.Errorf("%s: %+v", c.ID, o)
		}
	}
	if n := r.commits(); n != 4 {
		t.Errorf("%d commits", n)
	}
}
