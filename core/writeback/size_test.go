package writeback_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/writeback"
)

// bumpPlainly is an editor that knows one file for each workload, and reads it
// as text: the files here are too large to be parsed in a test.
func bumpPlainly(_ context.Context, _ string, t writeback.Tree, edits []edit.Edit) (files []edit.FileChange, errs []error) {
	errs = make([]error, len(edits))
	for i, e := range edits {
		name := strings.TrimPrefix(e.Workload, id("")) + ".yaml"
		var old []byte
		old, errs[i] = os.ReadFile(filepath.Join(t.Dir, name))
		if now := bytes.Replace(old, []byte(e.From), []byte(e.Image), 1); errs[i] == nil && !bytes.Equal(old, now) {
			files = append(files, edit.FileChange{Path: name, Old: old, New: now, Edits: []int{i}})
		}
	}
	return files, errs
}

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
	g := newRig(t, r, func(o *writeback.Options) { o.Edit = bumpPlainly })
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
