// Package source is the contract of source plugins: where desired state comes
// from. A source names its newest Revision cheaply and exports the file tree
// of a Revision into a directory.
package source

import (
	"context"
	"errors"
	"time"
)

// Source is one configured place, for example a branch of a repository.
// Methods may be called at the same time from several goroutines.
type Source interface {
	// Resolve returns the newest Revision. previous is the Revision that the
	// last call returned, or the zero value; a source that can answer "no
	// change" more cheaply than "what is it now" uses it. Resolve must cost
	// next to nothing when there is no news. On failure it returns an error
	// and never a guess: the host keeps what it has.
	Resolve(ctx context.Context, previous Revision) (Revision, error)

	// Fetch writes the complete tree of rev into dir, an existing empty
	// directory that the source owns for the length of the call. The host
	// verifies the result, refuses links that lead out of it, and makes it
	// read-only. Fetching the same Revision twice gives the same tree. A
	// Revision that no longer exists is ErrGone.
	Fetch(ctx context.Context, rev Revision, dir string) error
}

// ErrGone is returned by Fetch when the revision cannot be had any more (for
// example after a forced push and a garbage collection). The host resolves
// again.
var ErrGone = errors.New("revision is gone")

// Revision identifies one immutable state of a source. Two Revisions with the
// same ID have the same tree.
type Revision struct {
	ID      string            `json:"id"`                // opaque, stable: a commit hash, a digest
	Ref     string            `json:"ref,omitempty"`     // what a person knows it by: a branch or tag
	Time    time.Time         `json:"time,omitzero"`     // when it was made, if known
	Author  string            `json:"author,omitempty"`  // who made it, "Name <mail>", if known
	Message string            `json:"message,omitempty"` // first line of its description, if known
	URL     string            `json:"url,omitempty"`     // where it came from, without credentials
	Labels  map[string]string `json:"labels,omitempty"`
}

// Watcher is a Source that learns of news by itself. Watch calls emit with
// each new Revision until ctx ends or the connection is lost (error); the host
// calls it again with back-off and keeps polling at a longer interval.
type Watcher interface {
	Watch(ctx context.Context, emit func(Revision)) error
}

// Logger is a Source that knows the history between two Revisions.
type Logger interface {
	// Log calls emit for each Revision after from up to and including to,
	// oldest first. A zero from means to alone.
	Log(ctx context.Context, from, to Revision, emit func(Entry)) error
}

// Entry is one step of history with the paths it touched, slash-separated and
// relative to the tree's root.
type Entry struct {
	Revision Revision
	Paths    []string
}

// Committer is a Source that can write edits back.
type Committer interface {
	// Commit makes one new Revision that holds every edit of c on top of the
	// newest one, publishes it, and returns it. If somebody else publishes
	// first it tries again on the new state: it never takes back what others
	// have published. An edit whose Old content does not stand there any more
	// is left out; the others are written, and both are told in a
	// *ConflictError. An edit whose New content stands there already is made.
	// If all are, Commit returns the newest Revision and makes none.
	//
	// So a Commit whose outcome is not known, because the connection or the
	// plugin has died, can be repeated: nothing is written twice.
	//
	// A source that may not write, or not so, returns an error that is
	// permanent (sdk.Permanent) and says what to do about it. Such an error
	// concerns all of c; trouble with one file is a conflict.
	Commit(ctx context.Context, c Change) (Revision, error)
}

// Brancher is a Committer that can write to other branches than the one that
// is read, for people to review and merge.
type Brancher interface {
	// Branch returns the Revision that a Commit to the branch would build on
	// now, which is what its edits should be made from. It need not be
	// published; Fetch takes it all the same.
	//
	//   - The branch does not exist, or all of it has been merged: the newest
	//     Revision of the branch that is read.
	//   - It has been pushed to and not merged: its own newest one, brought up
	//     to date with the branch that is read where no file has been changed
	//     on both. A file that stood on one side as it stands on the other,
	//     and was changed there since, is changed on one only; thus a branch
	//     that was merged by squashing goes on from where it was merged to.
	//
	// A branch only ever moves forward.
	Branch(ctx context.Context, name string) (Revision, error)
}

// Change is what Commit writes.
type Change struct {
	Edits    []Edit
	Message  string            // without it the source words one
	Author   string            // "Name <mail>"; empty: the source's configured author
	Branch   string            // target branch, see Brancher; empty: the one that is read
	Trailers map[string]string // added to the message, in the order of their keys: letters, digits and dashes
}

// Edit replaces the content of one file. A nil Old means that the file must
// not exist, a nil New deletes it; an empty slice is an empty file. The file
// keeps its mode; a new one is not executable.
type Edit struct {
	Path string // slash-separated, relative to the tree's root; no part of it is a link
	Old  []byte
	New  []byte
}

// ConflictError lists the edits that could not be made because their files
// had changed meanwhile, or are no files. Errors that wrap it may say more.
type ConflictError struct {
	Paths []string
	// Written holds the other edits. It is the zero Revision if there were
	// none.
	Written Revision
}

func (e *ConflictError) Error() string {
	return "files changed meanwhile: " + joinPaths(e.Paths)
}

// Marker is a Source that can record how far a cluster has come.
type Marker interface {
	// Mark makes the marker called name (for example an annotated tag) or
	// moves it to rev, forward or back. It costs next to nothing if it is
	// there already. A source that may not write returns a permanent error.
	Mark(ctx context.Context, name string, rev Revision, message string) error
}

// Verifier is a Source that can tell who vouches for a Revision. It returns
// the identities whose signatures are valid, or an error if the configured
// policy is not met.
type Verifier interface {
	Verify(ctx context.Context, rev Revision) ([]string, error)
}

// Identifier is a Source with a public identity that a person must register
// somewhere, for example an SSH public key in authorized_keys format.
type Identifier interface {
	Identity(ctx context.Context, regenerate bool) (string, error)
}

func joinPaths(paths []string) string {
	const most = 5
	s := ""
	for i, p := range paths {
		if i == most {
			return s + ", ..."
		}
		if i > 0 {
			s += ", "
		}
		s += p
	}
	return s
}
