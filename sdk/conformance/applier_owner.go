package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/client"
)

// openApplier is an instance with an owner for one check.
type openApplier struct {
	*client.Applier
	caps    []string
	owner   string
	objects []applier.Item
}

// withApplier runs a check on an open applier, then removes what its owner has.
func withApplier(check func(t T, a *openApplier)) func(T, *Subject) {
	return func(t T, s *Subject) {
		s.asOwner(t, s.newOwner(), func(t T, a *openApplier) {
			defer a.removeAll(t)
			check(t, a)
		})
	}
}

func (s *Subject) newOwner() string {
	return fmt.Sprintf("conformance-%d-%d", os.Getpid(), s.opened)
}

// asOwner runs do on an instance that it opens and closes.
func (s *Subject) asOwner(t T, owner string, do func(t T, a *openApplier)) {
	t.Helper()
	o := s.open(t)
	defer s.closed(t, o.Instance)
	do(t, &openApplier{
		Applier: client.NewApplier(s.caller(t, o)),
		caps:    o.Capabilities,
		owner:   owner,
		objects: s.Objects,
	})
}

// samples returns the objects, or skips the check.
func (a *openApplier) samples(t T) []applier.Item {
	t.Helper()
	if len(a.objects) == 0 {
		t.Skipf("no sample objects")
	}
	return a.objects
}

// set writes items to a file and returns the complete set.
func (a *openApplier) set(t T, items []applier.Item) applier.Set {
	t.Helper()
	var lines strings.Builder
	enc := json.NewEncoder(&lines)
	for _, item := range items {
		if err := enc.Encode(item); err != nil {
			t.Fatalf("encode the objects: %v", err)
		}
	}
	path := filepath.Join(t.TempDir(), "objects.jsonl")
	if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
		t.Fatalf("%v", err)
	}
	return applier.Set{Owner: a.owner, Objects: path, Revision: "conformance", Complete: true, Timeout: time.Minute}
}

func (a *openApplier) plan(t T, set applier.Set) ([]applier.Change, applier.Summary) {
	t.Helper()
	var all collector[applier.Change]
	summary, err := a.Plan(t.Context(), set, all.add)
	if err != nil {
		t.Fatalf("Plan: %v", err)
	}
	return all.list, summary
}

func (a *openApplier) apply(t T, items []applier.Item) ([]applier.Result, applier.Summary) {
	t.Helper()
	var all collector[applier.Result]
	summary, err := a.Apply(t.Context(), a.set(t, items), all.add)
	if err != nil {
		t.Fatalf("Apply: %v", err)
	}
	for _, r := range all.list {
		if r.Outcome == applier.Failed {
			t.Errorf("Apply of %s: %v", r.Ref, r.Diagnostic)
		}
	}
	return all.list, summary
}

func (a *openApplier) status(t T, owner string) []applier.ObjectStatus {
	t.Helper()
	var all collector[applier.ObjectStatus]
	if err := a.Status(t.Context(), owner, all.add); err != nil {
		t.Fatalf("Status: %v", err)
	}
	return all.list
}

// wantAllThere fails unless the owner has every sample object in the target.
func (a *openApplier) wantAllThere(t T, after string) {
	t.Helper()
	list := a.status(t, a.owner)
	if len(list) != len(a.objects) {
		t.Errorf("after %s the owner has %d objects, want %d", after, len(list), len(a.objects))
	}
	for _, o := range list {
		if gone(o) {
			t.Errorf("after %s, %s is %s", after, o.Ref, o.Health)
		}
	}
}

func gone(o applier.ObjectStatus) bool {
	return o.Health == applier.NotFound || o.Health == applier.Terminating
}

// removeAll deletes what the owner has, whatever the check has left.
func (a *openApplier) removeAll(t T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	var have collector[applier.ObjectStatus]
	if err := a.Status(ctx, a.owner, have.add); err != nil {
		t.Errorf("clean up: Status: %v", err)
		return
	}
	if len(have.list) == 0 {
		return
	}
	del := applier.Deletion{Owner: a.owner, Timeout: time.Minute}
	for _, o := range have.list {
		del.Refs = append(del.Refs, o.Ref)
	}
	if _, err := a.Delete(ctx, del, func(applier.Result) {}); err != nil {
		t.Errorf("clean up: Delete: %v", err)
	}
}

// collector gathers what is emitted, from any goroutine.
type collector[E any] struct {
	mu   sync.Mutex
	list []E
}

func (c *collector[E]) add(e E) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, e)
}

// wantActions fails unless changes are n times action.
func wantActions(t T, changes []applier.Change, n int, action applier.Action) {
	t.Helper()
	if len(changes) != n {
		t.Errorf("the plan has %d changes, want %d", len(changes), n)
	}
	for _, c := range changes {
		if c.Action != action {
			t.Errorf("%s: the plan says %s (%s), want %s", c.Ref, c.Action, c.Reason, action)
		}
	}
}
