package prune

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/live"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

const (
	// hostWait is how long a deletion waits for what only the host's own
	// finalizers hold. The host may need many minutes for them, and for that
	// the very goroutine that asked for the deletion.
	hostWait       = 15 * time.Second
	hostFinalizers = "sluice.dev/"
)

// wait waits for victims kind by kind, all at the same time.
func (r *run) wait(ctx context.Context, victims []victim) {
	type group struct {
		gvr       schema.GroupVersionResource
		namespace string
		name      string // of one without the label
	}
	groups := map[group][]victim{}
	for _, v := range victims {
		g := group{gvr: v.kind.GVR()}
		if len(r.Namespaces) > 0 || !v.member {
			g.namespace = v.ref.Namespace
		}
		if !v.member || !v.kind.Namespaced && len(r.Namespaces) > 0 {
			g.name = v.ref.Name
		}
		groups[g] = append(groups[g], v)
	}
	var wg sync.WaitGroup
	for g, victims := range groups {
		o := metav1.ListOptions{LabelSelector: live.MemberLabel + "=" + r.id, Limit: pageSize}
		if g.name != "" {
			o = metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", g.name).String()}
		}
		wg.Go(func() { r.confirm(ctx, r.Metadata.Resource(g.gvr).Namespace(g.namespace), o, victims) })
	}
	wg.Wait()
}

func (r *run) confirm(ctx context.Context, c metadata.ResourceInterface, o metav1.ListOptions, victims []victim) {
	left := make(map[types.UID][]string, len(victims))
	for _, v := range victims {
		left[v.uid] = nil
	}
	held, err := r.waitGone(ctx, c, o, left)
	for _, v := range victims {
		finalizers, there := left[v.uid]
		switch {
		case held[v.uid] != nil:
			r.leave(v, held[v.uid])
		case !there:
			r.say(applier.Result{Ref: v.ref, Outcome: applier.Deleted})
		case len(finalizers) > 0:
			r.fail(v, "it is being deleted, but held by its finalizers: "+strings.Join(finalizers, ", "))
		case errors.Is(err, context.DeadlineExceeded):
			r.fail(v, "it is being deleted, but is not gone yet")
		default:
			r.fail(v, fmt.Sprintf("it is being deleted; whether it is gone is not known: %v", err))
		}
	}
}

// waitGone waits until the objects in left are gone, as cluster.WaitGone does,
// but not long for those that only finalizers of the host still hold: it takes
// them out of left, and returns what holds them.
func (r *run) waitGone(ctx context.Context, c metadata.ResourceInterface, o metav1.ListOptions, left map[types.UID][]string) (map[types.UID][]string, error) {
	first, cancel := context.WithTimeout(ctx, hostWait)
	defer cancel()
	err := cluster.WaitGone(first, c, o, left)
	if err == nil || first.Err() == nil {
		return nil, err
	}
	held := map[types.UID][]string{}
	for uid, finalizers := range left {
		if heldByHost(finalizers) {
			held[uid] = finalizers
			delete(left, uid)
		}
	}
	if len(left) == 0 {
		return held, nil
	}
	return held, cluster.WaitGone(ctx, c, o, left)
}

// heldByHost tells an object that goes as soon as the host has done with it
// what it does for such objects, for example uninstalled the release that it
// declared.
func heldByHost(finalizers []string) bool {
	return len(finalizers) > 0 && !slices.ContainsFunc(finalizers, func(f string) bool { return !strings.HasPrefix(f, hostFinalizers) })
}

// leave reports an object that the host still holds: it goes by itself, and
// the next sync confirms it.
func (r *run) leave(v victim, finalizers []string) {
	r.mu.Lock()
	r.stuck = append(r.stuck, v.ref)
	r.mu.Unlock()
	r.say(applier.Result{Ref: v.ref, Outcome: applier.Skipped, Reason: "it is being deleted, and waits for finalizer " + strings.Join(finalizers, ", ")})
}
