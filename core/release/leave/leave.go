// Package leave decides how a release ends whose declaration goes: whether it
// is uninstalled or stays, when that begins, and what it waits for.
//
// A deleted declaration is an order, a lost one may be a mistake: a resource that
// was deleted ends its release at once, and a block that is not in the
// configuration any more does after a grace, or, where many go at once or no block
// is left, after an approval. A Leaving says which it is, and is kept until the
// release is gone. End does what it says, with the help of others.
package leave

import (
	"fmt"
	"time"

	"github.com/sluice-gitops/sluice/core/digest"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/declare"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// Leaving is the end of a release whose declaration is gone, or about to go. Its
// JSON is kept on disk.
type Leaving struct {
	Since time.Time `json:"since"`
	Why   string    `json:"why"`            // for people
	Keep  bool      `json:"keep,omitempty"` // the release stays, only the declaration goes
	// After is when it begins, unless the release is declared again by then.
	After time.Time `json:"after,omitzero"`
	// Held is the digest of a removal that waits for an approval, together
	// with Many others; "": it waits for none.
	Held string `json:"held,omitempty"`
	Many int    `json:"many,omitempty"`
	Of   int    `json:"of,omitempty"`

	Resource bool `json:"-"` // a custom resource that exists as yet: its finalizer is to go afterwards
	Doomed   bool `json:"-"` // the resource's namespace goes, with all that is in it
}

// grace is how long a block must be gone for its release to be uninstalled:
// longer than it takes to save a file, to check out a branch, or for a tool to
// write the configuration anew.
const grace = time.Minute

// A change of the configuration that takes away more than this many releases, or
// all of more than that many for the sake of others, is taken for a mistake until
// somebody approves it.
const (
	removalBudget = 10
	removalAll    = 3
)

// Block is a release block that is not in the configuration any more.
type Block struct {
	ID        string
	Installed bool // as far as we know
}

// Blocks is how the releases of blocks end that left the configuration together,
// at a time, when before releases were declared by blocks, and left are now: one
// Leaving for each. Where none is left the configuration may be a file that was cut
// off, or that nothing was written to: that waits for an approval, however few go.
func Blocks(gone []Block, before, left int, at time.Time) []Leaving {
	l := Leaving{Since: at, Why: "its block is not in the configuration any more", After: at.Add(grace)}
	var there []string // ids
	for _, b := range gone {
		if b.Installed {
			there = append(there, b.ID)
		}
	}
	if n := len(there); n > 0 && left == 0 || n > removalBudget || n == before && n > removalAll {
		l.Held, l.Many, l.Of = digest.Of(there), n, before
	}
	list := make([]Leaving, len(gone))
	for i, b := range gone {
		list[i] = l
		if !b.Installed { // all there can be is what a killed process has begun
			list[i] = Leaving{Since: l.Since, Why: l.Why}
		}
	}
	return list
}

// Deletion is what goes together with a custom resource that is being deleted.
type Deletion struct {
	Namespace  bool // its own
	Definition bool
	// Uninstall has the release go also if the definition is what goes: that
	// takes all resources along, whoever meant them.
	Uninstall bool
}

// Resource is how the release of d ends, whose custom resource is being deleted.
func Resource(d declare.Declaration, with Deletion, at time.Time) Leaving {
	l := Leaving{Since: at, Why: d.Place + " was deleted", Keep: d.Keeps(), Resource: true, Doomed: with.Namespace}
	switch {
	case with.Definition && !with.Uninstall:
		l.Why, l.Keep = "the definition of "+d.Place+" was deleted", true
	case d.Keep && d.Err != nil:
		l.Why += ", whose annotations say, or may say, that the release stays"
	case d.Keep:
		l.Why += ", which says that the release stays"
	case d.Suspended != nil:
		l.Why += ", which says that its release is left alone"
	}
	return l
}

// Dooms reports whether the release ref of d goes with the namespace of its
// resource, whatever anybody does.
func (l *Leaving) Dooms(d declare.Declaration, ref helm.ReleaseRef) bool {
	return l.Doomed && d.Resource != nil && d.Resource.Ref.Namespace == ref.Namespace
}

// removal is how the release of d is removed that the last run left: what was
// declared then counts, or, if there was none or nobody knows, what is declared
// now. In a namespace that goes nothing new begins.
func (l *Leaving) removal(d declare.Declaration, last release.Record) release.Removal {
	m := last.Removal()
	if m.Ref.Name == "" {
		m = release.Removal{Owner: d.Spec.Owner, Ref: d.Spec.Ref, Uninstall: d.Spec.Uninstall}
	}
	if l.Dooms(d, m.Ref) {
		m.Uninstall.DisableHooks, m.Uninstall.Wait = true, false
	}
	return m
}

// Obstacle is what the removal of a release waits for.
type Obstacle int

const (
	None       Obstacle = iota
	Approval            // of Leaving.Held
	Suspension          // the end of it
	Return              // Leaving.After, or the declaration coming back until then
)

// Waits returns what keeps the release from being uninstalled at a time, and how
// people are told; it is not to be asked if there is nothing to uninstall.
// suspended says who has stopped it, and why; "": nobody has.
func (l *Leaving) Waits(suspended string, at time.Time) (o Obstacle, reason string) {
	switch {
	case l.Held != "":
		return Approval, "for an approval: " + l.together()
	case suspended != "":
		return Suspension, fmt.Sprintf("%s; it is to be uninstalled then: %s", suspended, l.Why)
	case at.Before(l.After):
		return Return, fmt.Sprintf("%s: it is uninstalled at %s, unless it is declared again", l.Why, l.After.Format(time.RFC3339))
	}
	return None, ""
}

// together says what l leaves with.
func (l *Leaving) together() string {
	if l.Many == 1 {
		return "no release is left in the configuration, and this one is to be uninstalled"
	}
	return fmt.Sprintf("%d of %d releases left the configuration at once, and are to be uninstalled", l.Many, l.Of)
}

// Stays says where a release is left, and how to end it.
func Stays(ref helm.ReleaseRef) string {
	return fmt.Sprintf("the release %s/%s stays installed, where nothing manages it (helm uninstall -n %s %s)", ref.Namespace, ref.Name, ref.Namespace, ref.Name)
}
