package main

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// TestCrash ends an apply at one request after the other, as SIGKILL would:
// from then on nothing it sends arrives. Whatever it had made is known to the
// next one, which converges; and nothing is left over.
func TestCrash(t *testing.T) {
	t.Parallel()
	for _, at := range []int{1, 3, 5, 8, 9, 10, 12, 15, 20, 30} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			t.Parallel()
			p, kubeconfig := newProxy(t)
			target := realTarget(t, Config{Kubeconfig: kubeconfig})
			target.recordTimeout = time.Millisecond
			ns := namespaceFor(t)
			set := applier.Set{Owner: "crash", Complete: true, Objects: itemsOf(t, apps(4, ns))}
			ctx, kill := context.WithCancel(t.Context())
			defer kill()
			p.set(func(n int, w http.ResponseWriter, r *http.Request) bool {
				if n < at {
					return false
				}
				kill()
				cut(w)
				return true
			})
			if _, err := target.Apply(ctx, set, func(applier.Result) {}); err == nil && at < 25 {
				t.Fatal("the apply survived")
			}

			next := realTarget(t, Config{InventoryNamespace: target.config.InventoryNamespace})
			nothing := applier.Set{Owner: "crash", Complete: true, Objects: itemsOf(t, nil)}
			known := map[string]bool{}
			for ref := range planOf(t, next, nothing) {
				known[ref] = true
			}
			for ref, c := range planOf(t, next, set) {
				if c.Action != applier.Create && !known[ref] {
					t.Errorf("%s is there (%s), but nobody's", ref, c.Reason)
				}
			}
			for ref, r := range applyOf(t, next, set) {
				if r.Outcome == applier.Failed || r.Outcome == applier.Skipped {
					t.Errorf("%s: %+v", ref, r)
				}
			}
			for ref, c := range planOf(t, next, set) {
				if c.Action != applier.None {
					t.Errorf("after the second apply: %s: %s (%s)", ref, c.Action, c.Reason)
				}
			}
		})
	}
}

// TestCancelRecords: a cancelled apply writes down what it did.
func TestCancelRecords(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := namespaceFor(t)
	set := applier.Set{Owner: "cancelled", Complete: true, Objects: itemsOf(t, apps(20, ns))}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := map[string]bool{}
	_, err := target.Apply(ctx, set, func(r applier.Result) {
		if r.Outcome == applier.Created {
			done[r.Ref.String()] = true
		}
		if len(done) == 10 {
			cancel()
		}
	})
	if err == nil {
		t.Error("a cancelled apply returns no error")
	}
	for ref, c := range planOf(t, target, set) {
		if done[ref] && c.Action != applier.None {
			t.Errorf("%s was applied, but is planned as %s (%s)", ref, c.Action, c.Reason)
		}
	}
}
