package byhand

import (
	"context"
	"fmt"
	"slices"

	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// Subject is what an Operation is about to be done to.
type Subject struct {
	Revision helm.Revision // the newest
	Back     helm.Revision // that a rollback returns to
}

// Check finds out what o is to be done to, and changes nothing. A release or a
// revision that is not there is refusal.ErrNotFound, and a release that none of
// r.Owners has made refusal.ErrConflict: what people are told to do about one release
// must never be done to another.
func (o Operation) Check(ctx context.Context, r Release) (Subject, error) {
	name := r.Ref.Namespace + "/" + r.Ref.Name
	newest, err := r.Host.Observer.Fresh(ctx, r.Ref)
	switch {
	case err != nil:
		return Subject{}, fmt.Errorf("release %s: %w", name, err)
	case newest.Number == 0:
		return Subject{}, refusal.NotFound("there is no release %s", name)
	case !slices.Contains(r.Owners, newest.Owner):
		return Subject{}, refusal.Conflict("%s: it is left alone. Adopt it first, or use the helm command", whose(name, newest.Owner))
	}
	s := Subject{Revision: newest}
	if o.Kind == Rollback {
		s.Back, err = o.target(ctx, r, name)
	}
	return s, err
}

func whose(release, owner string) string {
	if owner == "" {
		return fmt.Sprintf("release %s is there, and nobody declares it", release)
	}
	return fmt.Sprintf("release %s belongs to %s", release, owner)
}

// target is the revision that a rollback returns to.
func (o Operation) target(ctx context.Context, r Release, name string) (helm.Revision, error) {
	var history []helm.Revision
	if err := r.Host.Helm.History(ctx, r.Ref, func(rev helm.Revision) { history = append(history, rev) }); err != nil {
		return helm.Revision{}, fmt.Errorf("the history of release %s: %w", name, err)
	}
	for i, rev := range history {
		before := i > 0 && (rev.Status == "superseded" || rev.Status == "deployed")
		if rev.Number == o.Revision || o.Revision == 0 && before {
			return rev, nil
		}
	}
	if o.Revision > 0 {
		return helm.Revision{}, refusal.NotFound("release %s has no revision %d", name, o.Revision)
	}
	return helm.Revision{}, refusal.NotFound("release %s has no earlier revision to roll back to", name)
}
