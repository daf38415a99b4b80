// Package plan compares what is wanted with what is known of the cluster and
// says what to do with each object. It is pure: no client, no clock.
package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/desired"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/inventory"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/live"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Input is everything that a plan depends on.
type Input struct {
	Owner     string
	Set       desired.Set
	Inventory *inventory.Inventory
	Live      live.Facts
	Owners    map[string]string // names of other owners by ApplySet id
	Complete  bool              // the set holds everything the owner wants
	Adopt     bool              // take objects over from other owners
}

// Step is what to do with one object.
type Step struct {
	applier.Change
	Object *desired.Object // nil for Prune and Kept
	Live   *live.Fact      // nil if the object does not exist
	Owned  bool            // the live object is the owner's, and no other object controls it
}

// Compute returns a step for each object of the set in its order, then for
// each owned object that the set no longer has, sorted.
func Compute(in Input) []Step {
	steps := make([]Step, 0, len(in.Set.Objects))
	for i := range in.Set.Objects {
		steps = append(steps, in.wanted(&in.Set.Objects[i]))
	}
	leftovers := in.leftovers()
	in.spareTwins(leftovers, steps)
	steps = append(steps, leftovers...)
	in.spareHolders(steps)
	adviseOnce(steps)
	return steps
}

// adviseOnce leaves each advice with the first of the steps that it is for.
func adviseOnce(steps []Step) {
	given := map[string]bool{}
	for i := range steps {
		d := steps[i].Diagnostic
		if d == nil || d.Detail == "" {
			continue
		}
		if given[d.Detail] {
			short := *d
			short.Detail = ""
			steps[i].Diagnostic = &short
		}
		given[d.Detail] = true
	}
}

// spareTwins keeps each leftover that is also wanted under another name: some
// objects are served by two API groups, and to delete one is to delete both.
func (in *Input) spareTwins(leftovers, wanted []Step) {
	refs := map[string]applier.Ref{}
	for _, s := range wanted {
		if record, _ := in.Inventory.Get(s.Ref); record.UID != "" {
			refs[record.UID] = s.Ref
		}
		if s.Live != nil {
			refs[s.Live.UID] = s.Ref
		}
	}
	for i := range leftovers {
		s := &leftovers[i]
		if s.Action != applier.Prune {
			continue
		}
		if twin, same := refs[s.Live.UID]; same {
			s.Action, s.Reason, s.Protected = applier.Kept, fmt.Sprintf("it is the same object as %s, which is wanted", twin), false
		}
	}
}

// spareHolders keeps each Namespace and CustomResourceDefinition in which an
// object stays that would go with it.
func (in *Input) spareHolders(steps []Step) {
	staying := map[applier.Ref]applier.Ref{}
	for _, s := range steps {
		if s.Action == applier.Prune {
			continue
		}
		if s.Ref.Namespace != "" {
			staying[applier.Ref{Kind: "Namespace", Name: s.Ref.Namespace}] = s.Ref
		}
		if resource := in.resource(s); resource != "" && s.Ref.Group != "" {
			staying[applier.Ref{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition", Name: resource + "." + s.Ref.Group}] = s.Ref
		}
	}
	for i := range steps {
		s := &steps[i]
		if inside, holds := staying[s.Ref.Identity()]; holds && s.Action == applier.Prune {
			s.Action, s.Reason, s.Protected = applier.Kept, fmt.Sprintf("%s stays, and would be deleted with it", inside), false
		}
	}
}

// resource is the plural under which a step's object is served, if known.
func (in *Input) resource(s Step) string {
	if s.Object != nil {
		return s.Object.Kind.Resource
	}
	record, _ := in.Inventory.Get(s.Ref)
	return record.Resource
}

func (in *Input) wanted(obj *desired.Object) Step {
	s := Step{Object: obj, Change: applier.Change{Ref: obj.Ref, File: obj.File, Line: obj.Line}}
	if fact, ok := in.Live.Get(obj.Ref); ok {
		s.Live, s.Owned = &fact, in.owns(obj.Ref, fact)
	}
	unseen := in.Live.Blind(obj.Ref)
	switch foreign := in.foreign(s.Live); {
	case obj.Ignored != "":
		s.Action, s.Reason = applier.Ignored, obj.Ignored
	case obj.Problem != nil:
		s.refuse(obj.Problem)
	case unseen != "":
		s.refuse(&diag.Diagnostic{
			Summary: "it cannot be looked at: " + unseen,
			Detail:  "What is there now is not known, so it is left alone.",
			Subject: &diag.Range{File: obj.File, Start: diag.Pos{Line: obj.Line}},
		})
	case s.Live != nil && s.Live.Ignored != "":
		s.Action, s.Reason = applier.Ignored, s.Live.Ignored
	case foreign && !in.Adopt:
		s.refuse(in.claimed(obj, s.Live))
	default:
		s.Action, s.Reason = in.compare(obj, s.Live)
	}
	return s
}

func (s *Step) refuse(d *diag.Diagnostic) {
	s.Action, s.Reason, s.Diagnostic = applier.Refused, d.Summary, d
}

// foreign tells whether the object is a member of another ApplySet.
func (in *Input) foreign(fact *live.Fact) bool {
	return fact != nil && fact.Member != "" && fact.Member != in.Inventory.ID
}

func (in *Input) claimed(obj *desired.Object, fact *live.Fact) *diag.Diagnostic {
	return &diag.Diagnostic{
		Summary: fmt.Sprintf("it belongs to %s, and %q wants it too", in.owner(fact), in.Owner),
		Detail:  "It stays with the one that has it. Remove it from one of the two, or set adopt = true in the sync that shall have it.",
		Subject: &diag.Range{File: obj.File, Start: diag.Pos{Line: obj.Line}},
	}
}

func (in *Input) owner(fact *live.Fact) string {
	if name := in.Owners[fact.Member]; name != "" {
		return fmt.Sprintf("%q", name)
	}
	return "the ApplySet " + fact.Member + ", which is not one of this applier's"
}

func (in *Input) compare(obj *desired.Object, fact *live.Fact) (applier.Action, string) {
	record, known := in.Inventory.Get(obj.Ref)
	switch {
	case fact == nil && record.Desired != "":
		return applier.Create, "somebody deleted it"
	case fact == nil:
		return applier.Create, "it does not exist yet"
	case fact.Deleting:
		return applier.Create, "it is being deleted"
	case in.foreign(fact):
		return applier.Update, "taken over from " + in.owner(fact)
	case !known || record.Desired == "":
		return applier.Update, "it exists, but was never applied by this sync"
	case record.Desired != obj.Hash:
		return applier.Update, "its manifest changed"
	case record.UID != fact.UID:
		return applier.Update, "somebody deleted it and made it again"
	case record.Owned != fact.Owned:
		return applier.Update, drift(fact)
	}
	return applier.None, ""
}

func drift(fact *live.Fact) string {
	if fact.Writer == "" {
		return "somebody changed it in the cluster"
	}
	return "changed in the cluster by " + fact.Writer
}

// leftovers are the owned objects that the set no longer has.
func (in *Input) leftovers() []Step {
	wanted := in.identities()
	var steps []Step
	for _, record := range in.Inventory.Records() {
		if wanted[record.Ref.Identity()] || wanted[placeless(record.Ref)] {
			continue
		}
		if why := in.Live.Blind(record.Ref); why != "" {
			steps = append(steps, Step{Change: applier.Change{Ref: record.Ref, Action: applier.Kept, Reason: why}})
			continue
		}
		fact, exists := in.Live.Get(record.Ref)
		if !exists || !in.mine(record, fact) {
			continue // gone, or somebody else's by now
		}
		steps = append(steps, in.leftover(record.Ref, fact))
	}
	return steps
}

func (in *Input) leftover(ref applier.Ref, fact live.Fact) Step {
	s := Step{Live: &fact, Change: applier.Change{Ref: ref, Action: applier.Kept}}
	switch {
	case len(in.Inventory.Damage) > 0:
		s.Reason = "the inventory is damaged, so nothing is deleted until it has been written anew: " + in.Inventory.Damage[0]
	case !in.Complete:
		s.Reason = "the load was not complete"
	case in.Set.Anonymous:
		s.Reason = "an object without kind or name was loaded, and this may be the one that was meant"
	case fact.Spared != "":
		s.Reason = fact.Spared
	case fact.Controlled:
		s.Reason = "another object controls it by now"
	default:
		s.Action, s.Reason, s.Protected = applier.Prune, "no file declares it any more", Protected(ref)
	}
	return s
}

// mine tells whether a recorded object is still the owner's: by its label, or,
// if somebody took the label off, because it is the very object that was
// applied.
func (in *Input) mine(record inventory.Record, fact live.Fact) bool {
	return fact.Member == in.Inventory.ID || fact.Member == "" && record.UID != "" && record.UID == fact.UID
}

// owns tells whether the owner may do with a live object as it likes, deleting
// it included.
func (in *Input) owns(ref applier.Ref, fact live.Fact) bool {
	record, _ := in.Inventory.Get(ref)
	return in.mine(record, fact) && !fact.Controlled
}

// identities are the objects that the set wants, refused ones among them. An
// object of a kind that is not served may be namespaced or not, so it stands
// for its name in every namespace.
func (in *Input) identities() map[applier.Ref]bool {
	wanted := make(map[applier.Ref]bool, len(in.Set.Objects))
	for _, obj := range in.Set.Objects {
		if obj.Kind.Resource == "" {
			wanted[placeless(obj.Ref)] = true
		} else {
			wanted[obj.Ref.Identity()] = true
		}
	}
	return wanted
}

func placeless(ref applier.Ref) applier.Ref {
	ref.Namespace, ref.Version = "*", ""
	return ref
}

// Protected tells whether objects of the kind take others or data with them
// when they are deleted.
func Protected(ref applier.Ref) bool {
	return slices.Contains([]string{
		"Namespace", "PersistentVolume", "PersistentVolumeClaim", "CustomResourceDefinition.apiextensions.k8s.io",
	}, groupKind(ref))
}

// Recreatable tells whether the live object may be deleted to make it anew.
func (s *Step) Recreatable() bool { return s.Owned && !Protected(s.Ref) }

// Immutable says why the step fails that would change immutable fields, and
// what a person can do.
func (s *Step) Immutable(fields []string) (summary, advice string) {
	summary = "immutable fields changed: " + strings.Join(fields, ", ")
	switch {
	case s.Live == nil:
		return "it was created meanwhile; the next sync looks again", "As it is, its immutable fields would change: " + strings.Join(fields, ", ") + "."
	case Protected(s.Ref):
		return summary, fmt.Sprintf("A %s is never recreated, since that takes other objects or data with it. Undo the change, or delete it by hand.", s.Ref.Kind)
	case s.Live.Controlled:
		return summary + "; another object controls it", "It is not this sync's to delete. Undo the change, or rename yours."
	case !s.Owned:
		return summary + "; it exists, but was not applied by this sync", "Delete it or rename yours."
	}
	return summary, "Undo the change, give the object another name, or set recreate = true in the sync to let it be deleted and made anew."
}

func groupKind(ref applier.Ref) string {
	if ref.Group == "" {
		return ref.Kind
	}
	return ref.Kind + "." + ref.Group
}
