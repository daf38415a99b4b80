package workloads

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
)

const (
	pageSize  = 500
	mostTries = 3 // of a list whose continuation expires
)

// pages lists a resource in a namespace, or in all of them, and keeps what
// keep makes of each item. A list whose continuation has expired starts over.
func pages[T, K any](ctx context.Context, c *cluster.Client, gvr schema.GroupVersionResource, namespace, selector string, keep func(*T) (K, bool)) ([]K, error) {
	var kept []K
	see := func(d *json.Decoder) error {
		var item T
		if err := d.Decode(&item); err != nil {
			return err
		}
		if k, ok := keep(&item); ok {
			kept = append(kept, k)
		}
		return nil
	}
	o := metav1.ListOptions{LabelSelector: selector, Limit: pageSize}
	for try := 1; ; {
		next, err := c.Page(ctx, gvr, namespace, o, see)
		switch {
		case apierrors.IsResourceExpired(err) && o.Continue != "" && try < mostTries:
			try, o.Continue, kept = try+1, "", nil
			continue
		case err != nil:
			return nil, fmt.Errorf("list %s: %w", gvr.GroupResource(), err)
		case next == "":
			return kept, nil
		}
		o.Continue = next
	}
}

// note takes down that a list was asked for and what came of it. A refusal
// is no error: it concerns this list alone. What the cluster does not serve, it
// has none of.
func (g *gathering) note(what string, err error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case apierrors.IsNotFound(err):
		err = nil
	case apierrors.IsForbidden(err):
		g.denials[what], err = err, nil
	}
	g.asked = append(g.asked, what)
	return err
}

// refused takes down that a list was asked for and what is against it.
func (g *gathering) refused(what string, why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.denials[what] = why
	g.asked = append(g.asked, what)
}

// tell logs which lists are refused, and which no longer are.
func (l *Lister) tell(asked []string, denials map[string]error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, what := range slices.Sorted(slices.Values(asked)) {
		err := denials[what]
		if before := l.denied[what]; before == (err != nil) {
			continue
		}
		l.denied[what] = err != nil
		if err != nil {
			l.Log.Warn("what runs is not all told: the applier cannot list "+what, "error", err)
		} else {
			l.Log.Info("the applier can list " + what + " again")
		}
	}
}
