package release

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk/helm"
)

// slow is a helm whose listing takes a second.
type slow struct{ *world }

func (s slow) List(ctx context.Context, namespace string, emit func(helm.ReleaseRef, helm.Revision)) error {
	err := s.world.List(ctx, namespace, emit)
	select {
	case <-time.After(time.Second):
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func TestOneListingForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.add(ghost, deployed, stored{Revision: helm.Revision{Owner: mine, Chart: "ghost-1"}})
		o := NewObserver(slow{w}, ObserverOptions{})
		observe := func() {
			t.Helper()
			seen, err := o.Observe(t.Context(), ghost, mine)
			if err != nil || seen.Revision.Number != 1 || len(seen.Others) != 0 {
				t.Errorf("%+v, %v", seen, err)
			}
		}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(observe)
		}
		wg.Wait()
		if diff := cmp.Diff(map[string]int{"List": 1}, w.calls); diff != "" {
			t.Error(diff)
		}
		time.Sleep(9 * time.Second)
		observe()
		if w.calls["List"] != 2 {
			t.Errorf("%d listings after ten seconds", w.calls["List"])
		}
	})
}

// Who waits for a listing that is cancelled makes one.
func TestListingsAreNotLostWithTheirCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := NewObserver(slow{newWorld(t)}, ObserverOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := o.Observe(ctx, ghost, mine); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if _, err := o.Observe(t.Context(), ghost, mine); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		cancel()
		wg.Wait()
	})
}

// What has changed is asked for, and a listing that began before does not bring
// back what was.
func TestChangesAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := NewObserver(slow{w}, ObserverOptions{})
		number := func(want int) {
			t.Helper()
			seen, err := o.Observe(t.Context(), ghost, mine)
			if err != nil || seen.Revision.Number != want {
				t.Errorf("revision %d, want %d, %v", seen.Revision.Number, want, err)
			}
		}
		number(0)
		w.add(ghost, deployed, stored{Revision: helm.Revision{Owner: mine, Chart: "ghost-1"}})
		number(0)
		o.Changed(ghost)
		number(1)
		if w.calls["List"] != 1 || w.calls["Status"] != 1 {
			t.Errorf("calls %v", w.calls)
		}
		time.Sleep(10 * time.Second)
		var wg sync.WaitGroup
		wg.Go(func() { number(2) }) // lists revision 1 now, for a second
		synctest.Wait()
		time.Sleep(time.Millisecond)
		w.add(ghost, deployed, stored{Revision: helm.Revision{Owner: mine, Chart: "ghost-1"}})
		o.Changed(ghost)
		wg.Wait()
		number(2)
		list, err := o.List(t.Context(), "")
		if err != nil || len(list) != 1 || list[0].Revision.Number != 2 {
			t.Errorf("%+v, %v", list, err)
		}
		delete(w.releases, ghost)
		o.Changed(ghost)
		number(0)
	})
}

func TestOthersOfTheSameOwner(t *testing.T) {
	w := newWorld(t)
	old, another := helm.ReleaseRef{Namespace: "a", Name: "old"}, helm.ReleaseRef{Namespace: "b", Name: "old"}
	w.add(old, deployed, stored{Revision: helm.Revision{Owner: mine}})
	w.add(another, uninstalled, stored{Revision: helm.Revision{Owner: mine}})
	w.add(ghost, deployed, stored{Revision: helm.Revision{Owner: "x"}})
	o := NewObserver(w, ObserverOptions{})
	seen, err := o.Observe(t.Context(), ghost, mine)
	if err != nil || len(seen.Others) != 1 || seen.Others[0].Ref != old {
		t.Errorf("%+v, %v", seen.Others, err)
	}
	list, err := o.List(t.Context(), "b")
	if err != nil || len(list) != 1 || list[0].Ref != another {
		t.Errorf("%+v, %v", list, err)
	}
}

// unlisted is a helm that may not list.
type unlisted struct{ *world }

func (u unlisted) List(ctx context.Context, _ string, _ func(helm.ReleaseRef, helm.Revision)) error {
	done, err := u.call(ctx, "List")
	if err == nil {
		done()
		err = errors.New("forbidden")
	}
	return err
}

// Who may not list all releases asks for each, and tries to list now and then.
func TestListingForbidden(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.host.Observer = NewObserver(unlisted{g.world}, ObserverOptions{})
		later(g.expect("in_sync: install", "deployed"))
		for range 3 {
			g.expect("in_sync:", "deployed")
		}
		if g.calls["List"] != 2 {
			t.Errorf("listed %d times", g.calls["List"])
		}
		if _, err := g.host.Observer.List(t.Context(), ""); err == nil || err.Error() != "list releases: forbidden" {
			t.Error(err)
		}
	})
}

// A helm that cannot list is asked for each release.
func TestWithoutListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newRig(t)
		g.host.Observer = NewObserver(g.world, ObserverOptions{Can: func(string) bool { return false }})
		later(g.expect("in_sync: install", "deployed"))
		later(g.expect("in_sync:", "deployed"))
		g.spec.Ref = helm.ReleaseRef{Namespace: "demo", Name: "blog"}
		g.expect("moved: |", "")
		if _, err := g.host.Observer.List(t.Context(), ""); err == nil || g.calls["List"] != 0 {
			t.Error(err, g.calls)
		}
	})
}
