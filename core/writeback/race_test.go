package writeback_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// 500 changes that come from everywhere at once are one commit and one push.
func TestManyAtOnce(t *testing.T) {
	files, changes := many(500)
	r := newRemote(t, files)
	g := newRig(t, r, nil)
	var wg sync.WaitGroup
	for _, c := range changes {
		wg.Go(func() {
			if err := g.Submit(c); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	g.Start()
	for _, c := range changes {
		if o := g.wait(c.ID); o.Err != "" || o.Unchanged {
			t.Fatalf("%+v", o)
		}
	}
	if n := r.commits(); n != 1 {
		t.Errorf("%d commits", n)
	}
	if got := r.git("diff", "--shortstat", "main~1", "main"); !strings.Contains(got, "500 files changed, 500 insertions(+), 500 deletions(-)") {
		t.Error(got)
	}
	if got := r.git("log", "-1", "--format=%s", "main"); got != "Auto-release multiple (500) images" {
		t.Error(got)
	}
}

// A person pushes again and again, also to the files that change, while 500
// changes go in: nothing is lost, and nothing is forced.
func TestSecondWriter(t *testing.T) {
	const theirs, waves = 25, 5
	files, changes := many(500)
	r := newRemote(t, files)
	g := newRig(t, r, nil)
	g.Start()
	for n := 1; n <= theirs; n++ {
		if n%waves == 1 {
			size := len(changes) / waves
			at := n / waves * size
			g.submit(changes[at : at+size]...)
		}
		r.pushOver(fmt.Sprintf("app%03d.yaml", n), fmt.Sprintf("# edit %d\n", n))
	}
	for _, c := range changes {
		if o := g.wait(c.ID); o.Err != "" || o.Errors != nil {
			t.Errorf("%+v", o)
		}
	}
	final := r.checkout()
	for i := range 500 {
		name := fmt.Sprintf("app%03d", i)
		if !strings.Contains(final(name+".yaml"), "quay.io/"+name+":2'") {
			t.Errorf("%s has not its new image", name)
		}
	}
	for n := 1; n <= theirs; n++ {
		if name := fmt.Sprintf("app%03d.yaml", n); !strings.Contains(final(name), fmt.Sprintf("# edit %d\n", n)) {
			t.Errorf("edit %d is lost:\n%s", n, final(name))
		}
	}
	if merges := r.git("log", "--merges", "--format=%H", "main"); merges != "" || r.commits() < theirs+1 {
		t.Errorf("%d commits, merges %q", r.commits(), merges)
	}
}

// checkout returns what reads the files of main as they are now.
func (r remote) checkout() func(file string) string {
	dir := r.t.TempDir()
	if _, err := git(r.t.Context(), "", "clone", "-q", r.dir, dir); err != nil {
		r.t.Fatal(err)
	}
	return func(file string) string {
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			r.t.Error(err)
		}
		return string(data)
	}
}

// pushOver adds a line to a file as another writer who, too, tries again.
func (r remote) pushOver(file, line string) {
	dir := filepath.Join(filepath.Dir(r.dir), "writer")
	try := func() error {
		if _, err := os.Stat(dir); err != nil {
			if _, err := git(r.t.Context(), "", "clone", "-q", r.dir, dir); err != nil {
				return err
			}
		}
		for _, args := range [][]string{{"fetch", "-q"}, {"reset", "-q", "--hard", "origin/main"}} {
			if _, err := git(r.t.Context(), dir, args...); err != nil {
				return err
			}
		}
		content, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, file), append(content, line...), 0o600); err != nil {
			return err
		}
		for _, args := range [][]string{{"commit", "-q", "-a", "-m", strings.TrimSpace(line)}, {"push", "-q", "origin", "HEAD:main"}} {
			if _, err := git(r.t.Context(), dir, args...); err != nil {
				return err
			}
		}
		return nil
	}
	for {
		err := try()
		if err == nil {
			return
		}
		if !strings.Contains(err.Error(), "rejected") && !strings.Contains(err.Error(), "cannot lock ref") {
			r.t.Error(err)
			return
		}
	}
}

// A person changes the same image between the look and the commit: that edit
// alone is left out, with the reason; another file that changed is edited anew.
func TestConflict(t *testing.T) {
	files, changes := many(3)
	r := newRemote(t, files)
	g := newRig(t, r, nil)
	pushed := false
	g.repo.step = func(step string) error {
		if step == "committed" && !pushed {
			pushed = true
			r.push("a person", map[string]string{
				"app000.yaml": manifest("app000", "person"),
				"app001.yaml": manifest("app001", "1") + "# a person was here\n",
			})
		}
		return nil
	}
	g.submit(changes...)
	g.Start()
	if o := g.wait(changes[0].ID); !strings.Contains(o.Err, "person") || o.Revision.ID != "" || len(o.Errors) != 1 {
		t.Errorf("the edit of what a person changed: %+v", o)
	}
	for _, c := range changes[1:] {
		if o := g.wait(c.ID); o.Err != "" || o.Errors != nil || o.Revision.ID == "" {
			t.Errorf("%+v", o)
		}
	}
	if got := r.read("app001.yaml"); !strings.Contains(got, "app001:2'") || !strings.Contains(got, "a person was here") {
		t.Error(got)
	}
	if got := r.read("app000.yaml"); got != strings.TrimSpace(manifest("app000", "person")) {
		t.Error(got)
	}
}
