package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

func TestSyncFollowsItsSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit("a", "b")
		e := w.start(shop)
		n := expect(t, e, "sync.shop", Ready, "2 objects")
		if n.Revision != "rev1" || n.Objects != 2 || n.Failed != 0 {
			t.Errorf("%+v", n)
		}
		w.repo("mem://shop").commit("a", "c", "d")
		sleepFor(t, 2*time.Minute)
		n = expect(t, e, "sync.shop", Ready, "3 objects")
		if n.Revision != "rev2" {
			t.Errorf("revision %q", n.Revision)
		}
		if diff := cmp.Diff([]string{"a", "c", "d"}, w.target(kube).Names("shop")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestQuietReconcileIsQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit("a")
		e := w.start(shop)
		expect(t, e, "sync.shop", Ready, "")
		before := eventReasons(t, e, "sync.shop")
		sleepFor(t, time.Hour)
		expect(t, e, "sync.shop", Ready, "")
		if n := w.target(kube).Calls("Apply"); n != 1 {
			t.Errorf("Apply was called %d times in a quiet hour, want once before it", n)
		}
		if w.target(kube).Calls("Plan") < 2 {
			t.Error("the interval never came")
		}
		if r := w.repo("mem://shop"); r.fetches != 1 || r.resolves < 50 {
			t.Errorf("%d fetches, %d resolves", r.fetches, r.resolves)
		}
		if diff := cmp.Diff(before, eventReasons(t, e, "sync.shop")); diff != "" {
			t.Errorf("quiet intervals tell events: %s", diff)
		}
	})
}

func TestOnlyWhatACommitTouchesIsPlanned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.repo("mem://one")
		r.commit("platform/ns", "shop/web")
		e := w.start(`
source "memory" "one" { url = "mem://one" }
sync "platform" {
  source   = source.memory.one
  paths    = ["platform"]
  interval = "1h"
}
sync "shop" {
  source   = source.memory.one
  paths    = ["shop"]
  interval = "1h"
}
`)
		expect(t, e, "sync.platform", Ready, "")
		before := w.target(kube).Calls("Plan")
		r.commit("platform/ns", "shop/web", "shop/api")
		sleepFor(t, 70*time.Second)
		for _, id := range []string{"sync.platform", "sync.shop"} {
			if n := expect(t, e, id, Ready, ""); n.Revision != "rev2" {
				t.Errorf("%s is at %s", id, n.Revision)
			}
		}
		if n := w.target(kube).Calls("Plan") - before; n != 1 {
			t.Errorf("%d plans for a commit that touches one sync", n)
		}
		d, err := e.Node("platform")
		if err != nil || d.Report.Counts.Unchanged != 1 || d.Report.Counts.Changed() {
			t.Errorf("%+v, %v", d.Report.Counts, err)
		}
		sleepFor(t, 2*time.Hour)
		if n := w.target(kube).Calls("Plan") - before; n < 3 {
			t.Error("the interval does not look at the target any more")
		}
	})
}

func TestPartialLoadNeverPrunes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit("a", "b", "c")
		e := w.start(shop)
		expect(t, e, "sync.shop", Ready, "")
		w.repo("mem://shop").commit("a", "broken=kind: [", "d")
		sleepFor(t, 2*time.Minute)
		n := expect(t, e, "sync.shop", Failed, "broken.yaml:")
		if n.Failed != 1 || n.Objects != 2 {
			t.Errorf("%+v", n)
		}
		if diff := cmp.Diff([]string{"a", "b", "c", "d"}, w.target(kube).Names("shop")); diff != "" {
			t.Errorf("the good objects are applied, nothing is deleted: %s", diff)
		}
		w.repo("mem://shop").commit("a", "d")
		sleepFor(t, 2*time.Minute)
		expect(t, e, "sync.shop", Ready, "")
		if diff := cmp.Diff([]string{"a", "d"}, w.target(kube).Names("shop")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestEmptyLoadNeverPrunes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit("a", "b")
		e := w.start(shop)
		expect(t, e, "sync.shop", Ready, "")
		w.repo("mem://shop").commit("README=")
		sleepFor(t, 2*time.Minute)
		expect(t, e, "sync.shop", Failed, "empty load")
		if len(w.target(kube).Names("shop")) != 2 {
			t.Error("objects were deleted")
		}
	})
}

func TestALoadThatFailsVouchesForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit("a", "b")
		e := w.start(shop)
		expect(t, e, "sync.shop", Ready, "2 objects")

		// There is no room for the next load, and what the last one wrote is lost.
		dir := e.workDirOf("sync.shop")
		if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		w.repo("mem://shop").commit("a", "c")
		sleepFor(t, 2*time.Minute)
		expect(t, e, "sync.shop", Failed, "load:")
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		w.repo("mem://shop").commit("a", "b") // the tree of before
		sleepFor(t, 2*time.Minute)
		expect(t, e, "sync.shop", Ready, "2 objects")
	})
}

func TestApproval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit(names(40)...)
		e := w.start(shop)
		expect(t, e, "sync.shop", Ready, "")
		w.repo("mem://shop").commit(names(20)...)
		sleepFor(t, 2*time.Minute)
		n := expect(t, e, "sync.shop", Waiting, "would delete 20 of 40")
		if n.Approval == "" || n.Unblock != "sluice approve shop" {
			t.Fatalf("%+v", n)
		}
		if _, err := e.Approve(t.Context(), ApproveRequest{Name: "shop", Digest: "other", By: "me"}); !errors.Is(err, refusal.ErrConflict) {
			t.Errorf("another digest: %v", err)
		}

		// What is to be deleted changes: an approval of the old list is void.
		w.repo("mem://shop").commit(names(15)...)
		sleepFor(t, 2*time.Minute)
		now := expect(t, e, "sync.shop", Waiting, "would delete 25 of 40")
		if _, err := e.Approve(t.Context(), ApproveRequest{Name: "shop", Digest: n.Approval, By: "me"}); !errors.Is(err, refusal.ErrConflict) {
			t.Errorf("the digest of an old list: %v", err)
		}
		if _, err := e.Approve(t.Context(), ApproveRequest{Name: "shop", Digest: now.Approval, By: "me"}); err != nil {
			t.Fatal(err)
		}
		expect(t, e, "sync.shop", Ready, "")
		if got := len(w.target(kube).Names("shop")); got != 15 {
			t.Errorf("%d objects are left, want 15", got)
		}

		// It is used up.
		w.repo("mem://shop").commit(names(40)...)
		sleepFor(t, 2*time.Minute)
		expect(t, e, "sync.shop", Ready, "40 objects")
		w.repo("mem://shop").commit(names(15)...)
		sleepFor(t, 2*time.Minute)
		expect(t, e, "sync.shop", Waiting, "would delete 25 of 40")
		if _, err := e.Approve(t.Context(), ApproveRequest{Name: "nope", By: "me"}); !errors.Is(err, refusal.ErrNotFound) {
			t.Errorf("an unknown name: %v", err)
		}
	})
}

func TestApprovalIsOfOneList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit(names(40)...)
		e := w.start(shop)
		expect(t, e, "sync.shop", Ready, "")
		w.repo("mem://shop").commit(names(20)...)
		sleepFor(t, 2*time.Minute)
		n := expect(t, e, "sync.shop", Waiting, "")

		// Between the approval and the run somebody deletes even more.
		w.repo("mem://shop").commit(names(10)...)
		if _, err := e.SyncAndWait(t.Context(), SyncRequest{}, nil); err != nil {
			t.Fatal(err)
		}
		e.mu.Lock()
		e.nodes["sync.shop"].sync.record.Approved = n.Approval
		e.mu.Unlock()
		sleepFor(t, time.Hour)
		expect(t, e, "sync.shop", Waiting, "would delete 30 of 40")
		w.repo("mem://shop").commit(names(20)...) // and takes it back: the approval is not waiting for that
		sleepFor(t, 2*time.Minute)
		expect(t, e, "sync.shop", Waiting, "would delete 20 of 40")
		if got := len(w.target(kube).Names("shop")); got != 40 {
			t.Errorf("%d objects are left, want all 40", got)
		}
	})
}

func TestApprovalIsOfOneTarget(t *testing.T) {
	const twoClusters = `
applier "kubernetes" "a" {}
applier "kubernetes" "b" {}
source "memory" "shop" { url = "mem://shop" }
sync "shop" {
  source  = source.memory.shop
  applier = applier.kubernetes.a
}
`
	const a, b = "applier.kubernetes.a", "applier.kubernetes.b"
	inB := strings.Replace(twoClusters, "applier = "+a, "applier = "+b, 1)
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart %v", restart), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.repo("mem://shop").commit(names(40)...)
				e := w.start(inB)
				expect(t, e, "sync.shop", Ready, "")
				w.configure(twoClusters)
				reload(t, e, true)
				expect(t, e, "sync.shop", Ready, "")

				w.repo("mem://shop").commit(names(20)...)
				sleepFor(t, 2*time.Minute)
				n := expect(t, e, "sync.shop", Waiting, "would delete 20 of 40")
				w.target(a).Down(errors.New("down"))
				if _, err := e.Approve(t.Context(), ApproveRequest{Name: "shop", Digest: n.Approval, By: "ann"}); err != nil {
					t.Fatal(err)
				}
				expect(t, e, "sync.shop", Failed, "down")
				if restart {
					w.stop(e)
					e = w.start(inB)
				} else {
					w.configure(inB)
					reload(t, e, true)
				}
				if now := expect(t, e, "sync.shop", Waiting, "would delete 20 of 40"); now.Approval == n.Approval {
					t.Error("both clusters ask for the same approval")
				}
				if got := len(w.target(b).Names("shop")); got != 40 {
					t.Errorf("%d objects are left in a cluster for which nobody has approved anything, want 40", got)
				}
			})
		})
	}
}

func TestMovedSourceAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit(names(10)...)
		w.repo("mem://moved").commit(names(9)...)
		e := w.start(shop)
		expect(t, e, "sync.shop", Ready, "")
		w.configure(strings.ReplaceAll(shop, "mem://shop", "mem://moved"))
		reload(t, e, true)
		expect(t, e, "sync.shop", Waiting, "the source or the paths of this sync have changed")
		if got := len(w.target(kube).Names("shop")); got != 10 {
			t.Errorf("%d objects are left, want 10", got)
		}
		if _, err := e.Approve(t.Context(), ApproveRequest{Name: "shop", By: "me"}); err != nil {
			t.Fatal(err)
		}
		expect(t, e, "sync.shop", Ready, "9 objects")
		w.repo("mem://moved").commit(names(8)...)
		sleepFor(t, 2*time.Minute)
		expect(t, e, "sync.shop", Ready, "8 objects") // it is at home now
	})
}

func TestAMoveIsRememberedWhileObjectsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit(names(10)...)
		w.repo("mem://moved").commit(names(9)...)
		e := w.start(shop)
		expect(t, e, "sync.shop", Ready, "")
		leftover := names(10)[9]
		w.target(kube).Keep(leftover, "the list is not available")
		w.configure(strings.ReplaceAll(shop, "mem://shop", "mem://moved"))
		reload(t, e, true)
		expect(t, e, "sync.shop", Ready, "1 more kept")

		// The engine's own record has to do where the target has none.
		w.target(kube).ForgetOrigins()
		w.target(kube).Keep(leftover, "")
		sleepFor(t, time.Hour)
		expect(t, e, "sync.shop", Waiting, "the source or the paths of this sync have changed")
		if !slices.Contains(w.target(kube).Names("shop"), leftover) {
			t.Error("a leftover of the old source was deleted without asking")
		}
	})
}

const chain = `
source "memory" "one" { url = "mem://one" }
source "memory" "two" { url = "mem://two" }
sync "platform" { source = source.memory.one }
sync "shop" {
  source     = source.memory.two
  depends_on = [sync.platform]
}
`

func TestDependencyBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://one").commit("ns")
		w.repo("mem://two").commit("web")
		w.target(kube).Reject("ns", "quota exceeded")
		e := w.start(chain)
		expect(t, e, "sync.platform", Failed, "quota exceeded")
		n := expect(t, e, "sync.shop", Blocked, "sync.platform has not been applied")
		if n.Unblock == "" {
			t.Error("nothing says what would unblock it")
		}
		if len(w.target(kube).Names("shop")) != 0 {
			t.Error("applied although it is blocked")
		}
		w.target(kube).Reject("ns", "")
		sleepFor(t, 10*time.Second) // the back-off; far less than any interval
		expect(t, e, "sync.platform", Ready, "")
		expect(t, e, "sync.shop", Ready, "")
	})
}

// TestDependencyOfAnotherSource: what depends on a sync waits until that has
// been applied at the newest revision of its own source.
func TestDependencyOfAnotherSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		one, two := w.repo("mem://one"), w.repo("mem://two")
		one.commit("ns")
		two.commit("web")
		e := w.start(chain)
		expect(t, e, "sync.shop", Ready, "")
		w.target(kube).Reject("ns2", "quota exceeded")
		one.commit("ns", "ns2")
		sleepFor(t, 2*time.Minute)
		expect(t, e, "sync.platform", Failed, "quota exceeded")
		two.commit("web", "api")
		sleepFor(t, 2*time.Minute)
		expect(t, e, "sync.shop", Blocked, "sync.platform has not been applied at main@rev2 (failed: ")
		if slices.Contains(w.target(kube).Names("shop"), "api") {
			t.Error("applied although what it depends on failed")
		}
		w.target(kube).Reject("ns2", "")
		sleepFor(t, 5*time.Minute)
		expect(t, e, "sync.shop", Ready, "rev2")
		if !slices.Contains(w.target(kube).Names("shop"), "api") {
			t.Error("not applied")
		}
	})
}

// TestDependencyAfterRestart: with new revisions on both sides, the order is the
// same as ever; a source that cannot be asked holds nothing up.
func TestDependencyAfterRestart(t *testing.T) {
	for name, unreachable := range map[string]error{"": nil, "and a source that is away": errors.New("connection refused")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				one, two := w.repo("mem://one"), w.repo("mem://two")
				one.commit("ns")
				two.commit("web")
				e := w.start(chain)
				expect(t, e, "sync.shop", Ready, "")
				if err := e.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
				one.commit("ns", "ns2")
				two.commit("web", "api")
				one.fail(unreachable)
				w.target(kube).Reject("ns2", "quota exceeded")
				e = w.start(chain)
				sleepFor(t, time.Minute)
				if unreachable != nil {
					expect(t, e, "source.memory.one", Failed, "connection refused")
					expect(t, e, "sync.shop", Ready, "rev2")
					return
				}
				expect(t, e, "sync.shop", Blocked, "sync.platform has not been applied at main@rev2")
				if slices.Contains(w.target(kube).Names("shop"), "api") {
					t.Error("applied before what it depends on")
				}
			})
		})
	}
}

func TestDependencyOfTheSameRevision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		one := w.repo("mem://one")
		one.commit("platform/ns", "shop/web")
		e := w.start(`
source "memory" "one" { url = "mem://one" }
sync "platform" {
  source = source.memory.one
  paths  = ["platform"]
}
sync "shop" {
  source     = source.memory.one
  paths      = ["shop"]
  depends_on = [sync.platform]
}
`)
		expect(t, e, "sync.shop", Ready, "")
		w.target(kube).Reject("ns2", "no")
		one.commit("platform/ns2", "platform/ns", "shop/web", "shop/web2")
		sleepFor(t, 67*time.Second)
		expect(t, e, "sync.shop", Blocked, "sync.platform")
		if slices.Contains(w.target(kube).Names("shop"), "web2") {
			t.Error("shop was applied at a revision at which platform failed")
		}
		w.target(kube).Reject("ns2", "")
		sleepFor(t, time.Minute)
		expect(t, e, "sync.shop", Ready, "")
		if !slices.Contains(w.target(kube).Names("shop"), "web2") {
			t.Error("shop was not applied")
		}
	})
}

func TestSourceFailureKeepsWhatThereIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.repo("mem://shop")
		r.commit("a")
		e := w.start(shop)
		expect(t, e, "sync.shop", Ready, "")
		r.fail(errors.New("connection refused"))
		sleepFor(t, 90*time.Second)
		n := expect(t, e, "source.memory.shop", Failed, "connection refused")
		if n.Failures == 0 || n.NextAttempt.IsZero() || n.Revision != "rev1" {
			t.Errorf("%+v", n)
		}
		expect(t, e, "sync.shop", Ready, "")
		r.fail(nil)
		sleepFor(t, 5*time.Minute)
		expect(t, e, "source.memory.shop", Ready, "rev1")
		if diff := cmp.Diff([]string{eventNewRevision, eventFailed, eventRecovered}, eventReasons(t, e, "source.memory.shop")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestPermanentAndRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.repo("mem://shop")
		r.fail(sdk.Permanent(errors.New("no such branch")))
		e := w.start(shop)
		expect(t, e, "source.memory.shop", Failed, "no such branch")
		sleepFor(t, 30*time.Second)
		if r.resolves != 1 {
			t.Errorf("%d attempts at what is permanent within half an interval", r.resolves)
		}
		r.fail(sdk.RetryAfter(errors.New("slow down"), 10*time.Minute))
		sleepFor(t, time.Minute)
		before := r.resolves
		sleepFor(t, 8*time.Minute)
		if r.resolves != before {
			t.Errorf("%d attempts before the time that was asked for", r.resolves-before)
		}
	})
}

func TestSourceThatNeverResolved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e := w.start(shop)
		expect(t, e, "source.memory.shop", Failed, "the repository is empty")
		expect(t, e, "sync.shop", Blocked, "source.memory.shop has no revision yet (failed: resolve: the repository is empty)")
		w.repo("mem://shop").fail(errors.New("connection refused"))
		sleepFor(t, 10*time.Second)
		expect(t, e, "sync.shop", Blocked, "connection refused")
		w.repo("mem://shop").fail(nil)
		w.repo("mem://shop").commit("a")
		sleepFor(t, time.Minute)
		expect(t, e, "sync.shop", Ready, "")
	})
}

func TestOneBadInstanceHarmsOnlyItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://one").commit("a")
		w.repo("mem://two").commit("b")
		w.breakOpen("source.memory.two", errors.New("no such key"))
		e := w.start(strings.ReplaceAll(chain, "depends_on = [sync.platform]", ""))
		expect(t, e, "sync.platform", Ready, "")
		expect(t, e, "source.memory.two", Failed, "no such key")
		w.breakOpen("source.memory.two", nil)
		sleepFor(t, time.Minute)
		expect(t, e, "sync.shop", Ready, "")
	})
}

func TestApplierThatOpensLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit("a")
		w.breakOpen(kube, errors.New("no kubeconfig"))
		e := w.start(shop)
		expect(t, e, kube, Failed, "no kubeconfig")
		expect(t, e, "sync.shop", Blocked, "no kubeconfig")
		w.breakOpen(kube, nil)
		sleepFor(t, 10*time.Second)
		expect(t, e, "sync.shop", Ready, "")
	})
}

func TestTwoSyncsClaimTheSameObject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit("a")
		e := w.start(shop + `sync "other" { source = source.memory.shop }`)
		sleepFor(t, time.Hour)
		states := map[State]int{}
		for _, n := range e.Status().Nodes {
			if isSync(n.ID) {
				states[n.State]++
				if n.State == Failed && !strings.Contains(n.Reason, "belongs to") {
					t.Errorf("%s: %s", n.ID, n.Reason)
				}
			}
		}
		if diff := cmp.Diff(map[State]int{Ready: 1, Failed: 1}, states); diff != "" {
			t.Error(diff)
		}
		if n := w.target(kube).Calls("Apply"); n > 2 {
			t.Errorf("%d calls of Apply: the claim flaps", n)
		}
	})
}

func TestWaitHoldsNoWorkerAndIsSuperseded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.repo("mem://shop")
		r.commit("a")
		w.target(kube).Fresh(applier.InProgress)
		e := w.start(`
source "memory" "shop" { url = "mem://shop" }
sync "shop" {
  source = source.memory.shop
  wait { timeout = "10m" }
}`)
		expect(t, e, "sync.shop", Waiting, "to become ready")
		if st := e.pool.Stats(); st.Running != 1 {
			t.Errorf("%+v", st)
		}
		w.target(kube).Fresh(applier.Current)
		r.commit("b", "a")
		sleepFor(t, 70*time.Second)
		expect(t, e, "sync.shop", Waiting, "rev2") // a is still in progress
		w.target(kube).SetHealth("a", applier.Current, "")
		expect(t, e, "sync.shop", Ready, "2 objects")
	})
}

func TestWaitTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit("a")
		w.target(kube).Fresh(applier.InProgress)
		e := w.start(`
source "memory" "shop" { url = "mem://shop" }
sync "shop" {
  source = source.memory.shop
  wait { timeout = "2m" }
}`)
		expect(t, e, "sync.shop", Waiting, "")
		sleepFor(t, 2*time.Minute+500*time.Millisecond) // before the first retry
		expect(t, e, "sync.shop", Failed, "not ready after 2m0s: ConfigMap/a")
	})
}

func TestARefusedObjectHoldsBackWhatItMayReplace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.repo("mem://shop")
		r.commit("a", "b", "c", "d")
		e := w.start(shop)
		expect(t, e, "sync.shop", Ready, "")
		w.target(kube).Refuse("release", "no such kind")
		r.commit("a", "b", "c", "release") // release may stand for d
		sleepFor(t, 30*time.Minute)
		n := expect(t, e, "sync.shop", Failed, "no such kind; a deletion waits for approval: would delete 1 of 4")
		if n.Approval == "" || n.Unblock != "sluice approve shop" {
			t.Errorf("approval %q, unblock %q", n.Approval, n.Unblock)
		}
		if _, err := e.Approve(t.Context(), ApproveRequest{Name: "shop", By: "ann"}); err != nil {
			t.Fatal(err)
		}
		expect(t, e, "sync.shop", Failed, "no such kind")
		if diff := cmp.Diff([]string{"a", "b", "c"}, w.target(kube).Names("shop")); diff != "" {
			t.Errorf("after the approval: %s", diff)
		}
		w.stop(e)
		e = w.start(shop)
		r.commit("a", "b", "release")
		sleepFor(t, 30*time.Minute)
		n = expect(t, e, "sync.shop", Failed, "no such kind")
		if diff := cmp.Diff([]string{"a", "b"}, w.target(kube).Names("shop")); diff != "" || n.Approval != "" {
			t.Errorf("release was refused before c left: %s", diff)
		}
	})
}

func TestAnObjectThatIsBeingDeletedHoldsBackWhatItReplaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit("a", "b", "old")
		e := w.start(shop)
		expect(t, e, "sync.shop", Ready, "")
		w.target(kube).Skip("new", "it is being deleted, and is applied again when it is gone")
		w.repo("mem://shop").commit("a", "b", "new")
		sleepFor(t, 90*time.Second)
		n := expect(t, e, "sync.shop", Failed, "waits to apply")
		if !strings.Contains(n.Reason, "ConfigMap/new (new.yaml:1): it is being deleted, and is applied again when it is gone") {
			t.Errorf("the reason does not tell what is waited for: %s", n.Reason)
		}
		if n.Failures == 0 || n.Failed != 0 {
			t.Errorf("%d failures of the run, %d objects failed", n.Failures, n.Failed)
		}
		if diff := cmp.Diff([]string{"a", "b", "old"}, w.target(kube).Names("shop")); diff != "" {
			t.Errorf("what is replaced goes first: %s", diff)
		}
		w.target(kube).Skip("new", "")
		sleepFor(t, 40*time.Second) // the back-off; less than any interval
		expect(t, e, "sync.shop", Ready, "3 objects")
		if diff := cmp.Diff([]string{"a", "b", "new"}, w.target(kube).Names("shop")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestALostRecordAsksBeforeItDeletes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.repo("mem://shop")
		r.commit(names(20)...)
		e := w.start(shop)
		expect(t, e, "sync.shop", Ready, "20 objects")
		w.stop(e)
		if err := os.RemoveAll(filepath.Join(w.dir, "data")); err != nil {
			t.Fatal(err)
		}
		r.commit(names(19)...)
		e = w.start(shop)
		expect(t, e, "sync.shop", Ready, "19 objects") // the target knows where they came from
		w.stop(e)
		if err := os.RemoveAll(filepath.Join(w.dir, "data")); err != nil {
			t.Fatal(err)
		}
		w.target(kube).ForgetOrigins()
		r.commit(names(18)...)
		e = w.start(shop)
		expect(t, e, "sync.shop", Waiting, "it is not known from which source")
		if _, err := e.Approve(t.Context(), ApproveRequest{Name: "shop", By: "ann"}); err != nil {
			t.Fatal(err)
		}
		expect(t, e, "sync.shop", Ready, "18 objects")
		r.commit(names(17)...)
		sleepFor(t, 2*time.Minute)
		expect(t, e, "sync.shop", Ready, "17 objects")
	})
}

func TestAFirstRunThatFailsIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.target(kube).Reject("bad", "admission says no")
		w.repo("mem://shop").commit("a", "b", "c", "bad")
		e := w.start(shop)
		expect(t, e, "sync.shop", Failed, "admission says no")
		w.repo("mem://shop").commit("a", "b")
		sleepFor(t, 2*time.Minute)
		expect(t, e, "sync.shop", Ready, "2 objects")
	})
}

func TestNamesOfInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.repo("mem://shop").commit("a/x", "b/x")
		e := w.start(`
source "memory" "shop" { url = "mem://shop" }
sync "app" {
  for_each = toset(["a", "b"])
  source   = source.memory.shop
  paths    = [each.key]
}
`)
		synctest.Wait()
		ids, err := e.Suspend(t.Context(), SuspendRequest{Names: []string{"app"}, By: "ann"})
		if diff := cmp.Diff([]string{`sync.app["a"]`, `sync.app["b"]`}, ids); diff != "" || err != nil {
			t.Errorf("%v\n%s", err, diff)
		}
		_, err = e.Node("app")
		if !errors.Is(err, refusal.ErrInvalid) || err.Error() != `"app" has 2 instances: name one of them, such as 'sync.app["a"]'` {
			t.Errorf("one of several: %v", err)
		}
	})
}
