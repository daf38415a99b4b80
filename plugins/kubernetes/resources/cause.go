package resources

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
)

// propagation is how long it may take until an API server tells in what it
// says it serves that a definition is being deleted.
const propagation = 3 * time.Second

var namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}

// causes finds out why objects of one kind are being deleted. It looks once for
// all that a definition or namespace takes along, and for each that is deleted
// by itself, unless its deletion was asked for in an earlier second than that of
// one it has looked for.
type causes struct {
	*Keeper
	definition verdict
	namespaces map[string]verdict
	went       time.Time // when the definition was last seen to go, or to be gone
}

// verdict is what a look at a definition or namespace brought.
type verdict struct {
	deleting bool
	upTo     time.Time // second of the deletion that it was brought for
}

// covers tells whether the verdict is good for a deletion too. That nothing else
// was being deleted is not, for one of the same second: it may have come after
// the look, and along with something else.
func (v verdict) covers(deleted time.Time) bool {
	return deleted.Before(v.upTo) || v.deleting && deleted.Equal(v.upTo)
}

func newCauses(k *Keeper) *causes { return &causes{Keeper: k, namespaces: map[string]verdict{}} }

// of returns why an object is being deleted. A question that the API server
// does not answer is asked again until ctx ends.
func (c *causes) of(ctx context.Context, served cluster.Served, m metav1.Object) (cause, error) {
	when := m.GetDeletionTimestamp().Time
	if !c.definition.covers(when) {
		deleting, err := c.certain(ctx, func() (bool, error) { return c.definitionGoes(ctx, served) })
		if err != nil {
			return cause{}, err
		}
		c.definition = verdict{deleting, when}
	}
	ns := m.GetNamespace()
	if ns != "" && !c.namespaces[ns].covers(when) {
		deleting, err := c.certain(ctx, func() (bool, error) { return c.namespaceGoes(ctx, ns) })
		if err != nil {
			return cause{}, err
		}
		c.namespaces[ns] = verdict{deleting, when}
	}
	return cause{c.definition.deleting, c.namespaces[ns].deleting}, nil
}

// definitionNow tells whether the definition is being deleted, or is gone. That
// it is not, is never taken from memory.
func (c *causes) definitionNow(ctx context.Context, served cluster.Served) (bool, error) {
	if time.Since(c.went) < propagation {
		return true, nil
	}
	deleting, err := c.certain(ctx, func() (bool, error) { return c.definitionGoes(ctx, served) })
	if deleting {
		c.went = time.Now()
	}
	return deleting, err
}

func (c *causes) certain(ctx context.Context, ask func() (bool, error)) (bool, error) {
	for pause := newPause(); ; pause.wait(ctx) {
		deleting, err := ask()
		switch {
		case err == nil:
			return deleting, nil
		case ctx.Err() != nil:
			return false, ctx.Err()
		}
		c.Log.Warn("why an object is being deleted is not known yet", "error", err)
	}
}

// definitionGoes asks for the definition itself. Where it may not be read, the
// API server tells by what it allows with the kind, if a moment later.
func (c *causes) definitionGoes(ctx context.Context, served cluster.Served) (bool, error) {
	if len(c.Namespaces) == 0 {
		m, err := c.Client.Metadata.Resource(definitions).Get(ctx, served.GVR().GroupResource().String(), metav1.GetOptions{})
		switch {
		case err == nil:
			return m.DeletionTimestamp != nil, nil
		case apierrors.IsNotFound(err):
			return c.stillServed(ctx, served) // gone already, or of an API server of its own
		case !apierrors.IsForbidden(err):
			return false, err
		}
	}
	sleep(ctx, propagation)
	return c.stillServed(ctx, served)
}

// stillServed tells, from what is served, whether a kind is on its way out.
func (c *causes) stillServed(ctx context.Context, served cluster.Served) (bool, error) {
	now, err := c.Client.Served(ctx, served.GroupVersionKind)
	if notServed(err) {
		return true, nil
	}
	return now.Terminating, err
}

// namespaceGoes tells nothing where the namespace may not be read.
func (c *causes) namespaceGoes(ctx context.Context, name string) (bool, error) {
	m, err := c.Client.Metadata.Resource(namespaces).Get(ctx, name, metav1.GetOptions{})
	switch {
	case err == nil:
		return m.DeletionTimestamp != nil, nil
	case apierrors.IsNotFound(err):
		return true, nil
	case apierrors.IsForbidden(err):
		return false, nil
	}
	return false, err
}
