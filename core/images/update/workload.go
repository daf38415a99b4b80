package update

import (
	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/images/ref"
)

// Workload is what git and a cluster know of a workload. One that is declared
// for several clusters is there once for each.
type Workload struct {
	ID     string // "namespace:kind/name"
	Sync   string // address of the sync that declares it, "" if none does
	Source string // address of the source whose files those are

	InRepo    bool
	InCluster bool
	Policy    policy.Workload // of the annotations in git
	Ignored   bool            // an annotation of the object in the cluster says so
	Attended  bool            // there is an automation for its sync

	Containers []Container // in git, in the order of the manifest
	Problem    string      // why its manifest cannot be edited; "" if it can
	Keeps      string      // what a person can do to keep its images, where locks do not
}

// Container is a container of a workload as git declares it.
type Container struct {
	Name    string
	Init    bool
	Current ref.Ref
	Invalid string // why there is no Current: what stands there is no reference
	Fixed   string // why what stands there cannot be changed; "" if it can

	Rules     policy.Rules
	Automated bool   // by the workload's annotation or by an image_policy
	Decider   string // who else decides on its image, which Automate then leaves alone; "" if nobody does
	// Input returns what the registry has; it is called only if it is needed,
	// at most once by each function. Nil: nothing is known.
	Input func() policy.Input
}

// lockedBy says who has locked w, and why, as far as that is known: "by Ann:
// stock-taking".
func (w Workload) lockedBy() string {
	text := ""
	if w.Policy.LockedBy != "" {
		text = "by " + w.Policy.LockedBy
	}
	switch {
	case w.Policy.LockedReason == "":
		return text
	case text == "":
		return "by somebody: " + w.Policy.LockedReason
	}
	return text + ": " + w.Policy.LockedReason
}

// Locked says that w is locked, by whom and why, as far as that is known.
func (w Workload) Locked() string {
	return Result{Reason: ReasonLocked, Detail: w.lockedBy()}.Why()
}

func (w Workload) ignored() bool { return w.Ignored || w.Policy.Ignored }
