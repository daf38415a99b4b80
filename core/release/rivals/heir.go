package rivals

import (
	"cmp"
	"iter"

	"github.com/sluice-gitops/sluice/core/release/resource"
)

// Heir returns the one among all that declares the release that gone was about,
// the zero T if there is none: a block that was renamed, or became a resource. A
// resource of another namespace than the release and gone have is none: its author
// has nothing to say there.
func Heir[T Claimant](all iter.Seq[T], gone T) (heir T) {
	g := gone.Claim()
	ref := g.Record.Ref
	if ref.Name == "" {
		ref = g.Declared.Spec.Ref
	}
	var none T
	for other := range all {
		c := other.Claim()
		if c.ID == g.ID || c.Leaving || c.Declared.Helm != g.Declared.Helm || c.Declared.Spec.Ref != ref {
			continue
		}
		if r := c.Declared.Resource; r != nil && r.Ref.Namespace != ref.Namespace && r.Ref.Namespace != resource.NamespaceOf(g.ID) {
			continue
		}
		if heir == none || inheritsBefore(c, heir.Claim()) {
			heir = other
		}
	}
	return heir
}

// inheritsBefore orders those that could go on with one release: blocks first.
func inheritsBefore(a, b Claim) bool {
	if is, was := a.Declared.Block != nil, b.Declared.Block != nil; is != was {
		return is
	}
	return cmp.Less(a.ID, b.ID)
}
