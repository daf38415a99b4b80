package applier

import (
	"context"
	"encoding/json"
	"errors"
)

// ResourceKeeper is an Applier whose target also holds declarations for the
// host itself, such as custom resources that declare releases: it shows them
// to the host, and writes back what became of them.
type ResourceKeeper interface {
	// Follow emits each object of the kinds, then a zero Resource to say that
	// this first pass is complete, then each change until ctx ends. Changes
	// that happen during the first pass may be emitted before its end.
	//
	// A kind that the target does not serve has no objects, and is emitted
	// itself as Deleted, without a name; once it is served, its objects come. A connection that is lost is taken up again without a gap: what
	// went away meanwhile is emitted as Deleted. Objects that cannot be seen,
	// for want of rights for example, do not keep the others back: see
	// Resource.Problem. Nothing is said about why an object is not emitted, so
	// a host concludes from absence only after the end of the first pass, and
	// only of a kind that is served and has no Problem.
	Follow(ctx context.Context, filter ResourceFilter, emit func(Resource)) error

	// PatchResource changes the status and the finalizers of one object, and
	// nothing else of it, and returns what it is then. It returns ErrNoResource
	// if the object has gone, or was made anew and so has another UID.
	PatchResource(ctx context.Context, patch ResourcePatch) (Resource, error)

	// TellResource leaves an event about an object where the target's own tools
	// show it. One that was left before is counted, not multiplied.
	TellResource(ctx context.Context, event ResourceEvent) error

	// ReadConfig returns a value that is no secret, or ErrNoConfig.
	ReadConfig(ctx context.Context, ref ConfigRef) (string, error)
}

// ResourceFilter says what Follow shows.
type ResourceFilter struct {
	Kinds []VersionedKind
	// Namespaces are the only ones to look at; empty: all. What the applier
	// itself may not see stays out in either case.
	Namespaces []string
}

// VersionedKind names a kind of objects in the version that the host
// understands.
type VersionedKind struct {
	Group   string `json:"group,omitempty"`
	Version string `json:"version"`
	Kind    string `json:"kind"`
}

// Resource is an object that the host acts upon, as it is now.
type Resource struct {
	Ref Ref
	UID string
	// Generation counts the changes of what the object declares. Where its
	// definition has no status subresource, changes of the status count too.
	Generation int64
	// Object is all of it as JSON, but for metadata.managedFields; empty with
	// Deleted.
	Object json.RawMessage
	// Deleted says that it is gone. Of an object that had a finalizer of the
	// host, Deleting was told before, unless the host did not look.
	Deleted bool
	// Deleting says that it goes as soon as its finalizers allow it.
	Deleting bool
	// DefinitionDeleting says, with Deleting or Deleted, that it goes because
	// its definition does, or because it is not served in its version any more:
	// nobody asked for the end of what it declares.
	DefinitionDeleting bool
	// NamespaceDeleting says, with Deleting, that its namespace goes, with all
	// that is in it.
	NamespaceDeleting bool
	// Problem says why objects cannot be seen, for a person: those of the kind
	// and namespace of Ref, which then has no name; an empty namespace is all.
	// A Resource with a kind and without a name says two more things: with
	// Deleted that the kind is not served, so that there are no objects to be
	// seen, which is no reason to end what they declared; otherwise, without a
	// Problem, that they can be seen again.
	Problem string
}

// ResourcePatch is a change of one object.
type ResourcePatch struct {
	Ref Ref
	UID string // of the object that is meant
	// Status is a JSON merge patch (RFC 7386) of the object's status, a JSON
	// object; empty: none. It goes to the status subresource, where there is
	// one.
	Status json.RawMessage
	// AddFinalizer is there before the status changes. An object that is being
	// deleted takes none any more, which is ErrNoResource.
	AddFinalizer string
	// RemoveFinalizer goes after the status has changed, and with the last
	// finalizer of an object that is being deleted goes the object.
	RemoveFinalizer string
}

// ResourceEvent is something that happened to an object.
type ResourceEvent struct {
	Ref     Ref
	UID     string
	Warning bool
	Reason  string // one word in CamelCase, for machines
	Message string // for people; what is longer than 1 KiB is cut
}

// ConfigRef names one value of a configuration that lives in the target, such
// as a key of a ConfigMap.
type ConfigRef struct {
	Namespace string
	Name      string
	Key       string
}

var (
	// ErrNoResource says that there is no such object any more.
	ErrNoResource = errors.New("no such object")
	// ErrNoConfig says that the target holds no such configuration or key.
	ErrNoConfig = errors.New("no such configuration")
)
