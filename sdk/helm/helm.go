// Package helm is the contract of helm plugins: they find charts and manage
// releases.
//
// A release is recorded as Helm records it, so that the helm command sees, rolls
// back and uninstalls what a plugin installed, and the other way round. What a
// plugin adds are two labels on the record: who declares the release
// (Release.Owner) and from what (Release.Digest).
package helm

import (
	"context"
	"errors"
)

// Helm manages charts and releases. Methods may be called at the same time
// from several goroutines, but the host never changes the same release twice
// at once.
//
// When ctx ends, a method stops what it does, also the wait for a hook, records
// what became of the release, and returns. A plugin that is killed cannot do
// that: the release stays locked, and Unlock is the way out.
type Helm interface {
	// Resolve finds the exact version and digest that ref stands for, and
	// those of the dependencies that a chart in a tree lacks. A problem of
	// the chart's files is a diagnostic that names the file.
	Resolve(ctx context.Context, ref ChartRef) (Chart, error)
	// Pull writes the chart's files into dir, an existing empty directory,
	// with the dependencies below charts/. What does not have the digests of
	// chart is refused.
	Pull(ctx context.Context, chart Chart, dir string) error
	// Template renders the release, as an install would, to the file out, one
	// JSON object a line: those of crds/, then those of templates, then hooks.
	// It asks the target for its version and kinds, and for what the templates
	// look up.
	Template(ctx context.Context, r Release, out string) (Rendered, error)
	// Plan emits what an upgrade to r would change, compared with the newest
	// revision, and with each change the Problem that would keep it from being
	// made, as far as that can be told. It changes nothing.
	Plan(ctx context.Context, r Release, emit func(Change)) (Rendered, error)
	// Upgrade installs or upgrades the release to r. Values that the chart's
	// schema does not accept are diagnostics with paths that begin with
	// "values". A locked release is ErrLocked, one of another owner
	// ErrOwned.
	Upgrade(ctx context.Context, r Release, emit func(Event)) (Revision, error)
	// Rollback makes a new revision that equals an earlier one.
	Rollback(ctx context.Context, r Rollback, emit func(Event)) (Revision, error)
	// Uninstall removes the release. One that does not exist is no error, and
	// one that an earlier call has half removed is removed.
	Uninstall(ctx context.Context, u Uninstall, emit func(Event)) error
	// Test runs the chart's test hooks and fails if one of them does. The
	// newest revision then tells in Tests what came of them.
	Test(ctx context.Context, t Test, emit func(Event)) error
	// History emits the revisions of a release, newest first; none if the
	// release does not exist.
	History(ctx context.Context, ref ReleaseRef, emit func(Revision)) error
	// Status returns the newest revision, or a zero Revision if the release
	// does not exist.
	Status(ctx context.Context, ref ReleaseRef) (Revision, error)
	// Unlock marks a newest revision that an interrupted operation left as
	// pending, or half uninstalled, as failed, and returns it. If it is
	// neither, nothing changes. The caller knows that nobody is at work on it.
	Unlock(ctx context.Context, ref ReleaseRef) (Revision, error)
}

// Lister lists releases without reading them.
type Lister interface {
	// List emits the newest revision of every release of a namespace, of all
	// if it is empty, with no more than Number, Status, Updated, Owner and
	// Digest. It costs a request or two for any number of releases.
	List(ctx context.Context, namespace string, emit func(ReleaseRef, Revision)) error
}

// Reader reads what a revision holds.
type Reader interface {
	// Content returns what a revision was made of, that of the newest one if
	// number is zero. A revision that does not exist is ErrNotFound.
	Content(ctx context.Context, ref ReleaseRef, number int) (Content, error)
}

// Comparer compares live objects with what a release declares.
type Comparer interface {
	// Compare emits each object that is not as the newest deployed revision
	// says. With Correct it makes them so, without a new revision; what it
	// could not make so is in Change.Problem. An object that has not changed
	// since it was found to be right costs next to nothing; that it has may be
	// noticed some seconds late, unless Fresh is asked for.
	Compare(ctx context.Context, c Comparison, emit func(Change)) error
}

// RollbackPlanner tells what a rollback would do.
type RollbackPlanner interface {
	// PlanRollback emits what a rollback would change, compared with the newest
	// revision, and returns the revision that it would return to. It changes
	// nothing. What Rollback refuses it refuses too.
	PlanRollback(ctx context.Context, r Rollback, emit func(Change)) (Revision, error)
}

var (
	// ErrLocked says that an operation on the release is under way, or was
	// interrupted.
	ErrLocked = errors.New("the release is locked")
	// ErrOwned says that the release belongs to somebody else.
	ErrOwned = errors.New("the release has another owner")
	// ErrNotFound says that there is no such release or revision.
	ErrNotFound = errors.New("no such release")
)
