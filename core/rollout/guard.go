package rollout

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// Policy says what a sync may delete.
type Policy struct {
	Prune  bool     // false: nothing, ever
	Budget Budget   // how much without asking
	Kinds  []string // protected kinds that may be deleted all the same: "Namespace"
}

// Budget is how much one run may prune without approval. It is exceeded by
// more than Count objects that are also more than Percent of those that the
// sync owns. The zero Budget is exceeded by the first object.
type Budget struct {
	Count   int
	Percent float64
}

// DefaultBudget stops a prune of more than 20 % and more than 10 objects.
var DefaultBudget = Budget{Count: 10, Percent: 20}

// Exceeded reports whether pruning n of owned objects needs approval. Pruning
// everything always does.
func (b Budget) Exceeded(n, owned int) bool {
	if n == 0 {
		return false
	}
	return n >= owned || n > b.Count && float64(n)*100 > b.Percent*float64(owned)
}

// Hold is a reason not to prune.
type Hold string

// guard decides which of the plan's prunes may happen. It marks each held
// object Kept with the reason, and fills Prune, Held and Approval of the plan.
//
// The order matters: what no person may allow (an empty or a partial load)
// comes before what one may.
func (p *Plan) guard(req Request) {
	candidates := p.keepUnprunable(req.Policy)
	if hold := p.holdAll(req.Policy); hold != "" {
		p.keep(candidates, hold)
		if p.Count(applier.Kept) > 0 {
			p.Held = hold
		}
		return
	}
	if len(candidates) == 0 {
		return
	}
	refs := make([]applier.Ref, len(candidates))
	for i, c := range candidates {
		refs[i] = p.Objects[c].Ref
	}
	digest := pruneDigest(req, refs)
	ask := p.mustAsk(req, len(refs))
	if ask == "" || req.Approved == digest {
		p.Prune = refs
		return
	}
	p.Approval, p.Held = digest, ask
	for _, c := range candidates {
		p.Objects[c].Reason = "waits for approval"
	}
}

// keepUnprunable keeps what may not be deleted one by one and returns the
// indexes of the other prunes.
func (p *Plan) keepUnprunable(policy Policy) []int {
	var candidates []int
	for i, o := range p.Objects {
		switch {
		case o.Action != applier.Prune:
		case o.protected && !namesKind(policy.Kinds, o.Ref.Kind):
			p.keep([]int{i}, Hold(fmt.Sprintf("%s is a protected kind: name it in prune.kinds to have it deleted", o.Ref.Kind)))
		default:
			candidates = append(candidates, i)
		}
	}
	return candidates
}

// holdAll returns why nothing at all may be pruned, whoever approves.
func (p *Plan) holdAll(policy Policy) Hold {
	switch {
	case !policy.Prune:
		return "pruning is disabled for this sync"
	case p.Wanted == 0:
		return "nothing is deleted after an empty load: the paths hold no objects"
	case !p.Complete:
		return "nothing is deleted after a partial load: fix the files that could not be read"
	}
	return ""
}

// mustAsk returns why a person must approve pruning n objects.
func (p *Plan) mustAsk(req Request, n int) Hold {
	switch {
	case n >= p.Owned:
		return Hold(fmt.Sprintf("would delete everything that this sync has: %s", Objects(n)))
	case p.moved(req) != "":
		return Hold(fmt.Sprintf("would delete %d of %d objects, and %s", n, p.Owned, p.moved(req)))
	case req.Policy.Budget.Exceeded(n, p.Owned):
		return Hold(fmt.Sprintf("would delete %d of %d objects, more than prune.max allows", n, p.Owned))
	}
	if r := p.newlyRefused(req.Refused); r != "" {
		return Hold(fmt.Sprintf("would delete %d of %d objects while %s, which may take their place, cannot be applied", n, p.Owned, r))
	}
	return ""
}

// newlyRefused returns an object that the target does not take at all, other
// than those that were known, "" if there is none.
func (p *Plan) newlyRefused(known []string) string {
	for _, o := range p.Objects {
		if o.Action == applier.Refused && !slices.Contains(known, o.Ref.Identity().String()) {
			return o.Ref.String()
		}
	}
	return ""
}

func (p *Plan) keep(indexes []int, hold Hold) {
	for _, i := range indexes {
		p.Objects[i].Action, p.Objects[i].Reason = applier.Kept, string(hold)
	}
}

func namesKind(kinds []string, kind string) bool {
	return slices.ContainsFunc(kinds, func(k string) bool { return strings.EqualFold(k, kind) })
}

// pruneDigest identifies a list of deletions in req's target, so that an
// approval holds for exactly what was shown: not for objects of the same names
// in another cluster, nor for what another source happens to leave over.
func pruneDigest(req Request, refs []applier.Ref) string {
	names := make([]string, len(refs))
	for i, r := range refs {
		names[i] = r.Identity().String()
	}
	slices.Sort(names)
	head := []string{req.Owner, req.Target, req.Origin}
	sum := sha256.Sum256([]byte(strings.Join(slices.Concat(head, names), "\n")))
	return hex.EncodeToString(sum[:8])
}
