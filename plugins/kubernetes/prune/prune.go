// Package prune deletes objects that an owner has, in the reverse of the order
// of their application, and waits until each one is gone. It never deletes
// anything that is not the owner's: the API server is told the uid that was
// checked, so an object that was made anew meanwhile survives.
package prune

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/apply"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/inventory"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/live"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

const (
	atOnce   = 64
	pageSize = 500
	// leastWait is what the foundations get when the objects on them used the
	// time up.
	leastWait = 10 * time.Second
)

// Pruner deletes objects.
type Pruner struct {
	Metadata   metadata.Interface
	Kinds      *cluster.Kinds
	Namespaces []string // the only ones that may be read; empty: all
	Timeout    time.Duration
}

// Run deletes the objects of refs and calls report for every one, one at a
// time. facts must be fresh. The outcome Deleted means that it is gone.
func (p *Pruner) Run(ctx context.Context, inv *inventory.Inventory, refs []applier.Ref, facts live.Facts, report func(applier.Result)) {
	r := run{Pruner: p, id: inv.ID, report: report}
	var high, low []victim
	for _, ref := range refs {
		v, why := r.victim(ctx, ref, inv, facts)
		switch {
		case why != nil:
			if why.Outcome != applier.Deleted {
				r.stuck = append(r.stuck, ref)
			}
			report(*why)
		case apply.Rank(ref) == apply.Foundations:
			low = append(low, v)
		default:
			high = append(high, v)
		}
	}
	r.delete(ctx, high, p.Timeout)
	low = slices.DeleteFunc(low, r.stillNeeded)
	r.delete(ctx, low, max(leastWait, p.Timeout-time.Since(r.began)))
}

type victim struct {
	ref  applier.Ref
	kind cluster.Kind
	uid  types.UID
	// labelled members are found together by their label, others alone
	member bool
}

type run struct {
	*Pruner
	id    string
	began time.Time

	mu     sync.Mutex
	report func(applier.Result)
	stuck  []applier.Ref
}

// victim checks that the object is there and is the owner's.
func (r *run) victim(ctx context.Context, ref applier.Ref, inv *inventory.Inventory, facts live.Facts) (victim, *applier.Result) {
	record, recorded := inv.Get(ref)
	fact, exists := facts.Get(ref)
	switch {
	case facts.Blind(ref) != "":
		return victim{}, refused(ref, facts.Blind(ref))
	case !exists:
		return victim{}, &applier.Result{Ref: ref, Outcome: applier.Deleted, Reason: "it was gone already"}
	case fact.Spared != "":
		return victim{}, &applier.Result{Ref: ref, Outcome: applier.Skipped, Reason: fact.Spared}
	case !recorded:
		return victim{}, refused(ref, "it is not in the inventory of this sync")
	case fact.Member != inv.ID && (fact.Member != "" || record.UID != fact.UID):
		return victim{}, refused(ref, "it is not this sync's any more: its label or its uid is another")
	}
	kind, err := r.Kinds.Any(ctx, record.GVK())
	if _, missing := errors.AsType[*cluster.NotServedError](err); missing && record.Resource != "" {
		kind = record.Kind()
	} else if err != nil {
		return victim{}, refused(ref, err.Error())
	}
	return victim{ref, kind, types.UID(fact.UID), fact.Member == inv.ID}, nil
}

func refused(ref applier.Ref, why string) *applier.Result {
	return &applier.Result{Ref: ref, Outcome: applier.Failed, Reason: why, Diagnostic: &diag.Diagnostic{Summary: "it is not deleted: " + why}}
}

// delete asks for the deletion of all, the last applied first, then waits.
func (r *run) delete(ctx context.Context, victims []victim, timeout time.Duration) {
	if r.began.IsZero() {
		r.began = time.Now()
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	slices.SortStableFunc(victims, func(a, b victim) int {
		return cmp.Or(cmp.Compare(apply.Rank(b.ref), apply.Rank(a.ref)), -inventory.Compare(a.ref, b.ref))
	})
	var asked []victim
	for _, batch := range byRank(victims) {
		asked = append(asked, r.ask(ctx, batch)...)
	}
	r.wait(ctx, asked)
}

func byRank(victims []victim) [][]victim {
	var out [][]victim
	for i, v := range victims {
		if i == 0 || apply.Rank(victims[i-1].ref) != apply.Rank(v.ref) {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], v)
	}
	return out
}

// ask sends the deletions and returns those that the server accepted.
func (r *run) ask(ctx context.Context, victims []victim) []victim {
	var group errgroup.Group
	group.SetLimit(atOnce)
	accepted := make([]bool, len(victims))
	background := metav1.DeletePropagationBackground
	for i, v := range victims {
		group.Go(func() error {
			c := r.Metadata.Resource(v.kind.GVR()).Namespace(v.ref.Namespace)
			err := c.Delete(ctx, v.ref.Name, metav1.DeleteOptions{
				Preconditions: &metav1.Preconditions{UID: &v.uid}, PropagationPolicy: &background,
			})
			if apierrors.IsConflict(err) {
				err = conflict(ctx, c, v, err)
			}
			accepted[i] = r.answer(v, err)
			return nil
		})
	}
	_ = group.Wait() // never an error: each object has its own result
	var out []victim
	for i, v := range victims {
		if accepted[i] {
			out = append(out, v)
		}
	}
	return out
}

// conflict finds out what a 409 to a deletion means. It is "not found" if the
// object has gone, even if somebody made it anew. It may also come from a
// webhook that does not let the object go; then it stays the error it is.
func conflict(ctx context.Context, c metadata.ResourceInterface, v victim, cause error) error {
	m, err := c.Get(ctx, v.ref.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return err
	case err != nil:
		return fmt.Errorf("%w; whether it is still there is not known: %w", cause, err)
	case m.UID != v.uid:
		return apierrors.NewNotFound(v.kind.GVR().GroupResource(), v.ref.Name)
	}
	return cause
}

// answer takes the server's answer to a deletion and tells whether there is
// something to wait for.
func (r *run) answer(v victim, err error) bool {
	switch {
	case err == nil:
		return true
	case apierrors.IsNotFound(err):
		r.say(applier.Result{Ref: v.ref, Outcome: applier.Deleted})
	default:
		r.fail(v, err.Error())
	}
	return false
}

func (r *run) fail(v victim, why string) {
	r.mu.Lock()
	r.stuck = append(r.stuck, v.ref)
	r.mu.Unlock()
	r.say(applier.Result{Ref: v.ref, Outcome: applier.Failed, Reason: why, Diagnostic: &diag.Diagnostic{
		Summary: why,
		Detail:  "It stays in the inventory, and the next sync looks again.",
	}})
}

func (r *run) say(result applier.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report(result)
}

// stillNeeded tells whether an object that could not be deleted stands on v,
// and reports v as skipped if so.
func (r *run) stillNeeded(v victim) bool {
	for _, ref := range r.stuck {
		inside := v.ref.Kind == "Namespace" && ref.Namespace == v.ref.Name
		instance := v.ref.Kind == "CustomResourceDefinition" && strings.HasSuffix(v.ref.Name, "."+ref.Group) && ref.Group != ""
		if inside || instance {
			r.say(applier.Result{Ref: v.ref, Outcome: applier.Skipped, Reason: fmt.Sprintf("%s is still there", ref)})
			return true
		}
	}
	return false
}
