// Package applier is the contract of applier plugins: they make a target, for
// example a Kubernetes cluster, equal to a set of objects, remember in the
// target what they own, and report how it fares.
//
// The host decides what may happen (ignore rules, deletion budget, approval);
// the applier knows the target (order, ownership, health). Both a plan and an
// apply take a complete Set; deletion is a call of its own, with the exact
// list of objects that the host has allowed.
package applier

import (
	"context"
	"encoding/json"
	"time"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/host"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Applier is one configured target. Methods may be called at the same time
// from several goroutines, but the host never runs Apply or Delete for the
// same owner twice at once. emit functions may be called from any goroutine,
// block while the host is busy, and do nothing once the method has returned.
// A method that returns nil has emitted everything.
type Applier interface {
	// Plan compares set with the target and emits one Change for each object
	// of set and for each object that the owner has in the target and set no
	// longer holds. It changes nothing. Where nothing differs it must be
	// cheap; it reads live objects only for those that differ, or if
	// set.Diff asks for it.
	Plan(ctx context.Context, set Set, emit func(Change)) (Summary, error)

	// Apply creates and updates objects until the target holds set, in the
	// order that the objects need. It records the owner's intent in the
	// target before it touches the first object, so that a crash never
	// leaves an object that nobody owns. It deletes nothing. Objects fail one
	// by one: the error is about the call as a whole, failed objects are
	// Results.
	Apply(ctx context.Context, set Set, emit func(Result)) (Summary, error)

	// Delete removes the objects that owner has and refs names, in reverse
	// order, waits until they are gone, and forgets each one after its
	// deletion is confirmed. An object that is not the owner's is refused.
	Delete(ctx context.Context, del Deletion, emit func(Result)) (Summary, error)

	// Status emits the health of each object that owner has.
	Status(ctx context.Context, owner string, emit func(ObjectStatus)) error

	// Watch emits the status of each object that owner has, then an
	// ObjectStatus with a zero Ref to say that this first pass is complete,
	// then each change of status or drift, until ctx ends.
	Watch(ctx context.Context, owner string, emit func(ObjectStatus)) error
}

// Set is the desired state of one owner.
type Set struct {
	// Owner names who owns the objects: a sync. Unique within the target.
	Owner string
	// Objects is the path of a file with one JSON Item a line, in the order of
	// the files they came from. See Item and Items.
	Objects string
	// Revision is recorded with the owner's intent, for people to read.
	Revision string
	// Complete says that Objects holds everything the owner wants. After a
	// load with failed files it is false: objects that are missing from it
	// are then planned as Kept, never as Prune.
	Complete bool
	// Diff asks Plan for the exact difference of each change, by a dry run
	// against the target where that gives a better answer.
	Diff bool
	// Adopt allows taking over objects that another owner's record claims.
	Adopt bool
	// Recreate allows deleting and creating anew an object whose immutable
	// fields changed.
	Recreate bool
	// Timeout bounds each wait for an object that others need, for example
	// for a CRD to be established. Zero is the applier's default.
	Timeout time.Duration
	// As is the identity to act as, empty for the applier's own.
	As string
	// Origin tells where the desired state comes from, without secrets, for
	// people to read and for hosts to compare. Apply records it with the
	// owner's intent, in place of what was recorded before.
	Origin string
	// Writer names who applies, for people to read and for hosts to compare: two
	// of them that apply for one owner undo each other's work. Apply records it
	// with the owner's intent, in place of what was recorded before. That it is
	// another one is alone no reason to write.
	Writer string
}

// Item is a line of the file Set.Objects: an object and where it came from.
type Item struct {
	File string `json:"file"` // relative to the source's root
	Line int    `json:"line"` // line of the object's first key, from 1
	// Ignore names the annotation by which the file tells to leave the object
	// alone; empty otherwise. Such an object is Ignored by Plan, not touched
	// by Apply, and remains wanted: it is never Prune.
	Ignore string         `json:"ignore,omitempty"`
	Object map[string]any `json:"object"`
}

// Ref names an object. Kubernetes terms; other targets map their own.
type Ref struct {
	Group     string `json:"group,omitempty"`
	Version   string `json:"version,omitempty"` // not part of the identity
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// String returns kind/name or namespace:kind/name, with the group after the
// kind where there is one: shop:deployment.apps/web.
func (r Ref) String() string {
	kind := r.Kind
	if r.Group != "" {
		kind += "." + r.Group
	}
	if r.Namespace == "" {
		return kind + "/" + r.Name
	}
	return r.Namespace + ":" + kind + "/" + r.Name
}

// Identity returns r without its version, which is how two Refs compare.
func (r Ref) Identity() Ref {
	r.Version = ""
	return r
}

// Action is what a plan intends for an object.
type Action string

const (
	Create   Action = "create"
	Update   Action = "update"
	Recreate Action = "recreate" // immutable fields changed, and the Set allows it
	None     Action = "none"     // already as desired
	Prune    Action = "prune"    // owned, and no longer desired
	Kept     Action = "kept"     // owned, no longer desired, and not to be deleted: see Reason
	Ignored  Action = "ignored"  // left alone because of an annotation: see Reason
	Refused  Action = "refused"  // cannot or may not be applied: see Diagnostic
)

// Change is a plan's intention for one object.
type Change struct {
	Ref        Ref
	Action     Action
	Reason     string           // why, for a person: "file changed", "field .spec.replicas was changed by kubectl"
	Diff       string           // unified diff of YAML, secrets masked; only where Set.Diff asked for it
	File       string           // origin of the desired object, empty for Prune and Kept
	Line       int              //
	Protected  bool             // with Prune: of a kind that is deleted only when named
	Diagnostic *diag.Diagnostic // with Refused
}

// Outcome is what became of an object.
type Outcome string

const (
	Created   Outcome = "created"
	Updated   Outcome = "updated"
	Recreated Outcome = "recreated"
	Unchanged Outcome = "unchanged"
	Deleted   Outcome = "deleted"
	Skipped   Outcome = "skipped" // not touched: see Reason
	Failed    Outcome = "failed"  // see Diagnostic
)

// Result is what became of one object of an Apply or Delete.
type Result struct {
	Ref        Ref
	Outcome    Outcome
	Reason     string
	File       string
	Line       int
	Diagnostic *diag.Diagnostic // with Failed
}

// Summary closes a Plan, Apply or Delete.
type Summary struct {
	Owned int // objects that the owner has in the target, before (Plan) or after (Apply, Delete)
	// Origin is what the last Apply recorded of Set.Origin; only Plan tells.
	// Empty means that nothing is recorded.
	Origin string
	// Writer is what the last Apply recorded of Set.Writer; only Plan tells.
	Writer string
}

// Deletion is what Delete removes.
type Deletion struct {
	Owner   string
	Refs    []Ref
	Timeout time.Duration // bounds the wait until all are gone; zero is the applier's default
	As      string
}

// Health of an object, in the words of kstatus.
type Health string

const (
	Current     Health = "current"     // exists and has done what it was asked for
	InProgress  Health = "in_progress" // not yet
	Stalled     Health = "failed"      // will not get there without a change: see Message
	Terminating Health = "terminating" // being deleted
	NotFound    Health = "not_found"   // owned, but not there
	Unknown     Health = "unknown"     // cannot be told: see Message
)

// ObjectStatus is how one object fares now.
type ObjectStatus struct {
	Ref     Ref
	Health  Health
	Message string // the object's own reason, for a person
	Drifted bool   // a field that the owner set was changed by somebody else
}

// WorkloadLister is an Applier that can tell what runs in the target, whoever
// applied it, in the order of namespace, kind and name. What is part of the
// target itself, such as a cluster's own services, is left out.
type WorkloadLister interface {
	Workloads(ctx context.Context, filter WorkloadFilter, emit func(Workload)) error
}

// WorkloadFilter narrows Workloads; zero fields match everything.
type WorkloadFilter struct {
	Namespace string
	Owner     string
	// Kinds are listed beside those that the applier itself knows to run
	// containers. One that the target does not serve has no objects.
	Kinds []Kind
}

// Kind names a kind of objects, in whatever version the target serves.
type Kind struct {
	Group string `json:"group,omitempty"`
	Kind  string `json:"kind"`
}

// Workload is something that runs containers.
type Workload struct {
	Ref            Ref
	Owner          string // the sync that owns it, if any
	Containers     []Container
	ServiceAccount string
	PullSecrets    []string          // of the pod, then of its service account, each once
	Annotations    map[string]string // of the object itself, not of its pods
	Rollout        Rollout
	// Object is there if the object is of one of WorkloadFilter.Kinds: all of
	// it as JSON, but for metadata.managedFields and the content of status.
	// Containers are then empty, for the host reads them.
	Object json.RawMessage
}

// Phase tells how far a rollout has come; empty is not known.
type Phase string

const (
	RolloutStarted  Phase = "started"  // the change has not been seen by its controller yet
	RolloutUpdating Phase = "updating" // replicas are being replaced
	RolloutReady    Phase = "ready"    // every replica runs what was asked for
	RolloutFailed   Phase = "error"    // it will not end without a change: see Message
)

// Rollout tells how far the replicas of a Workload have come. What does not
// roll out, such as a CronJob, is RolloutReady without replicas.
type Rollout struct {
	Phase     Phase  `json:"phase,omitempty"`
	Message   string `json:"message,omitempty"` // the object's own reason, for a person
	Desired   int    `json:"desired"`
	Updated   int    `json:"updated"` // of the newest revision
	Ready     int    `json:"ready"`
	Available int    `json:"available"`
	Outdated  int    `json:"outdated"` // still of an older revision
}

// Container of a Workload.
type Container struct {
	Name  string `json:"name"`
	Image string `json:"image"`
	Init  bool   `json:"init,omitempty"`
}

// SecretStore is an Applier that keeps secrets in the target for the daemon
// and its other plugins, for example a git deploy key.
type SecretStore interface {
	// ReadSecret returns the value under ref, or ErrNoSecret.
	ReadSecret(ctx context.Context, ref SecretRef) (secret.Secret, error)
	// WriteSecret creates the secret or replaces the one key of it.
	WriteSecret(ctx context.Context, ref SecretRef, value secret.Secret) error
}

// SecretRef names one value. An empty Namespace is the applier's own.
type SecretRef struct {
	Namespace string
	Name      string
	Key       string
}

// Leaser is an Applier whose target can elect one of several daemons.
type Leaser interface {
	// Lease holds the lease called name as holder: it calls acquired when it
	// has it, renews it, and returns when it is lost or ctx ends.
	Lease(ctx context.Context, name, holder string, acquired func()) error
}

// Marker is an Applier that can leave a mark in the target.
type Marker interface {
	// Mark sets the annotation called name on what records owner in the
	// target. An owner that has no record there is an error. An empty value
	// removes the annotation.
	Mark(ctx context.Context, owner, name, value string) error
}

// ErrNoSecret says that the target holds no such secret or key.
var ErrNoSecret = host.ErrNoSecret
