package writeback_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/writeback"
	"github.com/sluice-gitops/sluice/sdk"
)

const jane = "Jane Doe <jane@example.com>"

// One commit for all that is pending, whatever it is for, with one message,
// and only the lines that are meant change.
func TestOneCommit(t *testing.T) {
	files, changes := many(4)
	r := newRemote(t, files)
	g := newRig(t, r, nil)
	release := changes[2]
	release.Cause = writeback.Cause{Kind: writeback.Release, User: jane, Job: "7"}
	release.Subject = writeback.Subject{Image: "quay.io/app002:2", Workloads: []string{id("app002")}}
	lock := writeback.Change{
		ID: "lock", Source: shop, Sync: "sync.other", Cause: writeback.Cause{Kind: writeback.Policy, User: "Joe", Job: "8"},
		Edits: []edit.Edit{{Workload: id("app003"), Set: map[string]string{"sluice.dev/locked": "true", "sluice.dev/locked_msg": "no"}}},
	}
	g.submit(changes[0], changes[1], release, lock)
	g.submit(changes[0]) // again: nothing
	if got := len(g.Pending("")); got != 4 {
		t.Errorf("%d changes are pending", got)
	}
	if got := g.Pending("sync.other"); len(got) != 1 || got[0].ID != "lock" {
		t.Errorf("pending of sync.other: %v", got)
	}
	g.Start()
	for _, id := range []string{changes[0].ID, changes[1].ID, release.ID, "lock"} {
		if o := g.wait(id); o.Err != "" || o.Errors != nil || o.Unchanged || o.Revision.ID != r.git("rev-parse", "main") {
			t.Errorf("%+v", o)
		}
	}
	want := `Auto-release multiple (2) images, and 2 more

- Auto-release multiple (2) images

   - quay.io/app000:2
   - quay.io/app001:2
- Release quay.io/app002:2 to shop:deployment/app002
- Locked: shop:deployment/app003

Sluice-Cause: automation, policy, release
Sluice-Job: 7, 8
Sluice-Sync: sync.app, sync.other
Sluice-User: Jane Doe <jane@example.com>, Joe`
	if diff := cmp.Diff(want, r.git("log", "-1", "--format=%B", "main")); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
	if n := r.commits(); n != 1 {
		t.Errorf("%d commits", n)
	}
	if got := r.git("show", "--format=%an", "--shortstat", "main"); !strings.HasPrefix(got, "Sluice\n") || !strings.Contains(got, "4 files changed") {
		t.Error(got)
	}
	if len(g.Pending("")) != 0 || len(g.Status()) != 0 {
		t.Errorf("left over: %v, %v", g.Pending(""), g.Status())
	}
}

func TestAuthor(t *testing.T) {
	files, changes := many(3)
	r := newRemote(t, files)
	g := newRig(t, r, nil)
	g.Start()
	for i, tt := range []struct{ user, want string }{
		{jane, jane},
		{"Jane", "Sluice <sluice@example.com>"},
		{"Jane\nDoe <jane@example.com>", jane},
	} {
		changes[i].Cause = writeback.Cause{Kind: writeback.Release, User: tt.user}
		g.submit(changes[i])
		g.wait(changes[i].ID)
		if got := r.git("log", "-1", "--format=%an <%ae>", "main"); got != tt.want {
			t.Errorf("%q: author %s, want %s", tt.user, got, tt.want)
		}
	}
}

// One file that is no YAML hurts its own edit only.
func TestUnparsableFile(t *testing.T) {
	files, changes := many(200)
	files["app077.yaml"] = "kind: Deployment\n  metadata: [\n"
	r := newRemote(t, files)
	g := newRig(t, r, nil)
	g.submit(changes...)
	g.Start()
	for i, c := range changes {
		if o := g.wait(c.ID); (o.Err != "") != (i == 77) {
			t.Errorf("%+v", o)
		}
	}
	if got := r.git("diff", "--shortstat", "main~1", "main"); r.commits() != 1 || !strings.Contains(got, "199 files changed") {
		t.Errorf("%d commits, %s", r.commits(), got)
	}
}

// Two changes of one place: the later one counts, each in a commit of its own.
// What touches other places goes with the first.
func TestSamePlaceTwice(t *testing.T) {
	files, changes := many(2)
	r := newRemote(t, files)
	g := newRig(t, r, nil)
	g.submit(changes[0], bump("app000", "2", "3"), changes[1], bump("app000", "3", "4"))
	g.Start()
	g.wait("app000-4")
	if got := r.git("log", "--format=%s", "--reverse", "main"); got != "first\nAuto-release multiple (2) images\nAuto-release quay.io/app000:3\nAuto-release quay.io/app000:4" {
		t.Error(got)
	}
}

// Two syncs that see one file change it one after the other.
func TestTwoSyncsOneFile(t *testing.T) {
	files, changes := many(1)
	r := newRemote(t, files)
	g := newRig(t, r, nil)
	other := writeback.Change{
		ID: "lock", Source: shop, Sync: "sync.other", Cause: writeback.Cause{Kind: writeback.Policy},
		Edits: []edit.Edit{{Workload: id("app000"), Set: map[string]string{"sluice.dev/locked": "true"}}},
	}
	g.submit(changes[0], other)
	g.Start()
	g.wait(changes[0].ID)
	g.wait("lock")
	got := r.read("app000.yaml")
	if !strings.Contains(got, "app000:2'") || !strings.Contains(got, "sluice.dev/locked") || r.commits() != 2 {
		t.Errorf("%d commits\n%s", r.commits(), got)
	}
}

func TestUnchanged(t *testing.T) {
	files, changes := many(2)
	files["app000.yaml"] = manifest("app000", "2")
	r := newRemote(t, files)
	g := newRig(t, r, nil)
	g.submit(changes...)
	g.Start()
	if o := g.wait(changes[0].ID); !o.Unchanged || o.Err != "" || o.Revision.ID == "" {
		t.Errorf("%+v", o)
	}
	if o := g.wait(changes[1].ID); o.Unchanged || o.Err != "" {
		t.Errorf("%+v", o)
	}
	if got := r.git("log", "-1", "--format=%s", "main"); got != "Auto-release quay.io/app001:2" {
		t.Error(got)
	}
}

// What was fetched last is not believed to make a change impossible or needless.
func TestStaleTree(t *testing.T) {
	files, changes := many(4)
	files["app000.yaml"] = manifest("app000", "2")
	r := newRemote(t, files)
	g := newRig(t, r, nil) // clones here
	r.push("a person", map[string]string{
		"app000.yaml": manifest("app000", "1"), "app001.yaml": manifest("app001", "person"),
	})
	late := bump("app001", "person", "2")
	g.submit(changes[0], late, changes[2], changes[3])
	g.Start()
	for _, id := range []string{changes[0].ID, late.ID, changes[2].ID} {
		if o := g.wait(id); o.Err != "" || o.Errors != nil || o.Unchanged {
			t.Errorf("%+v", o)
		}
	}
	if diff := cmp.Diff([]bool{false, true}, g.repo.heads); diff != "" || r.commits() != 2 {
		t.Errorf("%d commits, fresh heads\n%s", r.commits(), diff)
	}
}

func TestBranchesAreApart(t *testing.T) {
	files, changes := many(2)
	r := newRemote(t, files)
	opened := map[string]int{}
	var mu sync.Mutex
	var g *rig
	g = newRig(t, r, func(o *writeback.Options) {
		o.Open = func(source, branch string) (writeback.Repository, error) {
			mu.Lock()
			defer mu.Unlock()
			opened[source+" "+branch]++
			if branch != "" {
				return nil, sdk.Permanent(errors.New("no such branch"))
			}
			return g.repo, nil
		}
	})
	changes[1].Branch = "updates"
	g.submit(changes...)
	g.Start()
	if o := g.wait(changes[0].ID); o.Err != "" {
		t.Errorf("%+v", o)
	}
	if o := g.wait(changes[1].ID); o.Err != "no such branch" {
		t.Errorf("%+v", o)
	}
	if diff := cmp.Diff(map[string]int{shop + " ": 1, shop + " updates": 1}, opened); diff != "" {
		t.Error(diff)
	}
}

func TestSubmitRefusesNonsense(t *testing.T) {
	files, changes := many(2)
	g := newRig(t, newRemote(t, files), nil)
	for _, bad := range []writeback.Change{{}, {ID: "a", Source: shop}, {ID: "a", Edits: changes[0].Edits}} {
		if err := g.Submit(changes[0], bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	if n := len(g.Pending("")); n != 0 {
		t.Errorf("%d changes of refused batches are pending", n)
	}
	if _, err := g.Wait(t.Context(), "nobody"); !errors.Is(err, writeback.ErrUnknown) {
		t.Error(err)
	}
	if _, err := writeback.New(writeback.Options{}); err == nil {
		t.Error("New without anything")
	}
}

// Close lets the commit that runs end, and leaves the rest for the next queue.
func TestCloseWaits(t *testing.T) {
	files, changes := many(2)
	r := newRemote(t, files)
	g := newRig(t, r, nil)
	reached, goOn := make(chan struct{}), make(chan struct{})
	g.repo.step = func(step string) error {
		if step == "committed" {
			close(reached)
			<-goOn
		}
		return nil
	}
	g.submit(changes[0])
	g.Start()
	<-reached
	g.submit(changes[1])
	if s := g.Status(); len(s) != 1 || s[0].State != writeback.Committing || s[0].Pending != 2 {
		t.Errorf("%+v", s)
	}
	closed := make(chan error)
	go func() { closed <- g.Close(context.WithoutCancel(t.Context())) }()
	for !errors.Is(g.Submit(changes[1]), writeback.ErrClosed) {
		runtime.Gosched()
	}
	close(goOn)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if o := g.wait(changes[0].ID); o.Err != "" {
		t.Errorf("%+v", o)
	}
	if _, err := g.Wait(t.Context(), changes[1].ID); !errors.Is(err, writeback.ErrClosed) {
		t.Error(err)
	}
	if r.commits() != 1 {
		t.Errorf("%d commits", r.commits())
	}
	next := newRig(t, r, func(o *writeback.Options) { o.Store = g.store })
	if p := next.Pending(""); len(p) != 1 || p[0].ID != changes[1].ID {
		t.Fatalf("the next queue has %v", p)
	}
	next.Start()
	if o := next.wait(changes[1].ID); o.Err != "" || r.commits() != 2 {
		t.Errorf("%+v, %d commits", o, r.commits())
	}
}

// Close cancels what does not end in time, and loses nothing.
func TestCloseCancels(t *testing.T) {
	files, changes := many(1)
	r := newRemote(t, files)
	reached := make(chan struct{})
	g := newRig(t, r, func(o *writeback.Options) {
		o.Edit = func(ctx context.Context, _ string, _ writeback.Tree, edits []edit.Edit) ([]edit.FileChange, []error) {
			close(reached)
			<-ctx.Done()
			return nil, []error{ctx.Err()}
		}
	})
	g.submit(changes...)
	g.Start()
	<-reached
	ctx, cancel := context.WithCancelCause(t.Context())
	late := errors.New("too late")
	cancel(late)
	if err := g.Close(ctx); !errors.Is(err, late) {
		t.Errorf("Close: %v", err)
	}
	next := newRig(t, r, func(o *writeback.Options) { o.Store = g.store })
	next.Start()
	if o := next.wait(changes[0].ID); o.Err != "" || o.Unchanged || r.commits() != 1 {
		t.Errorf("%+v", o)
	}
}
