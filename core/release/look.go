package release

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/sdk/helm"
)

// look finds out how the release stands.
func (n *run) look(ctx context.Context) error {
	seen, err := n.h.Observer.Observe(ctx, n.s.Ref, n.s.Owner)
	if err != nil {
		return err
	}
	if seen.Revision, err = n.whole(ctx, seen.Revision); err != nil {
		return err
	}
	if seen.Others, err = n.others(ctx, seen); err != nil {
		return err
	}
	rev := seen.Revision
	n.rec = n.rec.look(rev, n.r.now())
	if needsPast(rev, n.rec) {
		if err := n.h.Helm.History(ctx, n.s.Ref, func(r helm.Revision) { seen.Past = append(seen.Past, r) }); err != nil {
			return fmt.Errorf("history: %w", err)
		}
	}
	if exists(rev) && rev.Owner != "" && rev.Owner != n.s.Owner {
		seen.Rival = "the declaration of " + rev.Owner
		if n.h.Declared != nil {
			seen.Rival = n.h.Declared(rev.Owner)
		}
	}
	if isLocked(rev.Status) {
		seen.Ours = n.r.marks.has(n.h.Name, n.s.Ref)
	} else { // what was marked has ended
		n.r.marks.clear(n.h.Name, n.s.Ref)
	}
	seen.Compared, seen.Drift = n.compared, n.drift
	n.seen = seen
	n.chart.info = n.chart.info.knownBy(rev, n.wanted.Digest)
	n.wanted.Chart = n.chart.info
	return nil
}

// whole is a revision with all there is to know: as it was read before, if
// nothing has changed it since.
func (n *run) whole(ctx context.Context, rev helm.Revision) (helm.Revision, error) {
	last := n.rec.Last
	same := last.Number == rev.Number && last.Status == rev.Status && last.Owner == rev.Owner && last.Digest == rev.Digest
	switch {
	case rev.Number == 0:
		n.rec.Last, n.rec.Listed = helm.Revision{}, time.Time{}
		return rev, nil
	case rev.Chart != "": // not of a listing
		n.rec.Last = rev
		if !same {
			n.rec.Listed = time.Time{}
		}
		return rev, nil
	case same && n.rec.Listed.Equal(rev.Updated):
		return last, nil
	}
	full, err := n.h.Observer.Fresh(ctx, n.s.Ref)
	if err != nil {
		return rev, err
	}
	n.rec.Last, n.rec.Listed = full, rev.Updated
	return full, nil
}

// others are the releases that this declaration has made under other names: those
// that the record knows. What only has the same owner may be another daemon's; of
// that, the first run warns.
func (n *run) others(ctx context.Context, seen Seen) (list []Owned, err error) {
	before := n.rec.beside(n.s)
	switch {
	case len(before) == 0:
		n.warnOf(seen.Others)
		return nil, nil
	case seen.listed:
		return slices.DeleteFunc(seen.Others, func(o Owned) bool { return !slices.Contains(before, o.Ref) }), nil
	}
	for _, ref := range before {
		rev, err := n.h.Observer.Fresh(ctx, ref)
		if err != nil {
			return nil, err
		}
		if exists(rev) && rev.Owner == n.s.Owner {
			list = append(list, Owned{ref, rev})
		}
	}
	return list, nil
}

// warnOf warns of releases that look like this declaration's, once.
func (n *run) warnOf(others []Owned) {
	if !n.rec.blank() || n.warned {
		return
	}
	n.warned = true
	for _, o := range others {
		n.warn(fmt.Sprintf("release %s belongs to a declaration of the same name, perhaps another daemon's, and is left alone: "+
			"if it is what this one made before it was renamed, uninstall it (sluice helm uninstall %[1]s)", refString(o.Ref)))
	}
}
