// Package rivals settles who goes on with a release that several declare, and has
// nobody work on a release beside another.
//
// Blocks and resources may name the same release of a cluster, by mistake or
// because one takes the place of another. One of them goes on with it, whoever is
// faster: who has made it; else who inherits it; else a block of the operator's,
// then a resource of the release's own namespace, then what was there first. So
// the author of a resource in another namespace takes nothing away from anybody.
// The Book knows who that is, and who is at work; what the others are told, and
// when they look again, is for its owner.
package rivals

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/declare"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// Target is a release of a cluster, whoever declares it.
type Target struct {
	Cluster string // see ClusterOf
	Ref     helm.ReleaseRef
}

// Claim is what a declaration says at the moment. What it points at must not
// change as long as it is used.
type Claim struct {
	ID       string
	Declared *declare.Declaration
	Record   *release.Record // of its last run
	Leaving  bool            // it is declared no more, or about to go
	Inherits bool            // it is about to go on with the release of one that left
}

// Claimant is a declaration at work.
type Claimant interface {
	comparable
	Claim() Claim
}

// Book knows the declarations of all releases. The zero Book is empty. It is not
// safe for concurrent use.
type Book[T Claimant] struct {
	declared map[Target][]T       // the first comes first
	at       map[string]Target    // by id
	names    map[[2]string]string // by cluster and owner
	owners   map[Target]string    // as a run has seen them last; "": there is no release
	turns    map[Target]*turn
}

// turn is somebody's work on a release.
type turn struct {
	by      string
	waiting []string
}

// Collect begins anew with what is declared now. clusterOf identifies the cluster
// that the helm of an address reaches. It has to be called when a Claimant comes,
// goes or leaves, or when what it declares changes. What was seen of releases, and
// whoever is at work, stays.
func (b *Book[T]) Collect(all iter.Seq[T], clusterOf func(helm string) string) {
	b.declared, b.at, b.names = map[Target][]T{}, map[string]Target{}, map[[2]string]string{}
	clusters := map[string]string{} // by helm
	for one := range all {
		c := one.Claim()
		address := c.Declared.Helm
		if clusters[address] == "" {
			clusters[address] = clusterOf(address)
		}
		ref, _ := c.release()
		to := Target{clusters[address], ref}
		b.at[c.ID] = to
		if c.Leaving {
			continue
		}
		if ref.Name != "" {
			b.declared[to] = append(b.declared[to], one)
		}
		if owner := c.Declared.Spec.Owner; owner != "" {
			b.names[[2]string{to.Cluster, owner}] = fmt.Sprintf("%s (%s)", c.ID, c.Declared.Place)
		}
	}
	for to, list := range b.declared {
		slices.SortFunc(list, func(x, y T) int { return before(x.Claim(), y.Claim(), to.Ref) })
	}
	for to := range b.owners {
		if b.declared[to] == nil {
			delete(b.owners, to)
		}
	}
}

func (c Claim) release() (ref helm.ReleaseRef, owner string) { return c.Declared.Release(*c.Record) }

// before orders declarations of the release ref: a block of the operator's, a
// resource of the release's own namespace, what was there first.
func before(a, b Claim, ref helm.ReleaseRef) int {
	rank := func(c Claim) (class int, made time.Time) {
		switch r := c.Declared.Resource; {
		case r == nil:
			return 0, made
		case r.Ref.Namespace == ref.Namespace:
			return 1, r.Created
		default:
			return 2, r.Created
		}
	}
	classA, madeA := rank(a)
	classB, madeB := rank(b)
	return cmp.Or(cmp.Compare(classA, classB), madeA.Compare(madeB), cmp.Compare(a.ID, b.ID))
}

// At returns the release that the declaration with an id is about.
func (b *Book[T]) At(id string) Target { return b.at[id] }

// Declaring returns who declares a release, the first first.
func (b *Book[T]) Declaring(to Target) []T { return b.declared[to] }

// DeclaredBy names the declaration in a cluster that is the owner of releases,
// for people; "" if there is none.
func (b *Book[T]) DeclaredBy(cluster, owner string) string { return b.names[[2]string{cluster, owner}] }

// First returns the declaration that goes on with the release of one, and why; it
// is one itself if no other is before it. Two declarations of one resource are no
// rivals.
func (b *Book[T]) First(one T) (first T, why string) {
	to := b.at[one.Claim().ID]
	list := b.declared[to]
	if len(list) > 1 {
		list = slices.DeleteFunc(slices.Clone(list), func(other T) bool { return other != one && sameResource(other.Claim(), one.Claim()) })
	}
	if len(list) == 0 || len(list) == 1 && list[0] == one {
		return one, ""
	}
	owner := b.owner(to, list)
	for _, other := range list {
		if _, name := other.Claim().release(); name == owner && owner != "" {
			return other, "has made it"
		}
	}
	for _, other := range list {
		if other.Claim().Inherits {
			return other, "goes on with it"
		}
	}
	return list[0], "comes first: a release block does, then a resource of the release's namespace, then what is older"
}

// sameResource reports whether two declarations are of one resource: two appliers
// may reach one cluster.
func sameResource(a, b Claim) bool {
	x, y := a.Declared.Resource, b.Declared.Resource
	return x != nil && y != nil && x.UID != "" && x.UID == y.UID
}

// owner is whose a release is, as it was seen last: by a run, or by an earlier
// process.
func (b *Book[T]) owner(to Target, list []T) string {
	if owner, seen := b.owners[to]; seen {
		return owner
	}
	var last helm.Revision
	for _, one := range list {
		if rec := one.Claim().Record; rec.Ref == to.Ref && rec.Last.Number > 0 && !rec.Last.Updated.Before(last.Updated) {
			last = rec.Last
		}
	}
	return last.Owner
}

// Saw takes note of whose a release is; "" if there is none. It may have others
// come first.
func (b *Book[T]) Saw(to Target, owner string) {
	if b.owners == nil {
		b.owners = map[Target]string{}
	}
	b.owners[to] = owner
}

// Forget drops what was seen of a release.
func (b *Book[T]) Forget(to Target) { delete(b.owners, to) }

// Begin begins the work of by, an id, on releases. If somebody is at work on one
// of them, it begins nothing, returns the id of that one, and has End tell when to
// try again.
func (b *Book[T]) Begin(by string, on []Target) (busy string) {
	for _, to := range on {
		if t := b.turns[to]; t != nil && t.by != by {
			t.waiting = append(t.waiting, by)
			return t.by
		}
	}
	if b.turns == nil {
		b.turns = map[Target]*turn{}
	}
	for _, to := range on {
		b.turns[to] = &turn{by: by}
	}
	return ""
}

// End ends the work of by on releases, and returns the ids of those that wait for
// that.
func (b *Book[T]) End(by string, on []Target) (waiting []string) {
	for _, to := range on {
		if t := b.turns[to]; t != nil && t.by == by {
			delete(b.turns, to)
			waiting = append(waiting, t.waiting...)
		}
	}
	return waiting
}
