// Package helm is the contract of helm plugins: they find charts and manage
// releases.
package helm

import (
	"context"
	"time"

	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Helm manages charts and releases. Methods may be called at the same time
// from several goroutines, but the host never changes the same release twice
// at once.
type Helm interface {
	// Resolve finds the exact version and digest that ref stands for.
	Resolve(ctx context.Context, ref ChartRef) (Chart, error)
	// Pull writes the chart's files into dir, an existing empty directory.
	Pull(ctx context.Context, chart Chart, dir string) error
	// Template renders the release to the file out, one JSON object a line.
	Template(ctx context.Context, r Release, out string) (Rendered, error)
	// Plan emits what an upgrade to r would change. It changes nothing.
	Plan(ctx context.Context, r Release, emit func(Change)) (Rendered, error)
	// Upgrade installs or upgrades the release to r.
	Upgrade(ctx context.Context, r Release, emit func(Event)) (Revision, error)
	// Rollback returns the release to an earlier revision.
	Rollback(ctx context.Context, ref ReleaseRef, to int, emit func(Event)) (Revision, error)
	// Uninstall removes the release and, unless keepHistory, every trace of it.
	Uninstall(ctx context.Context, ref ReleaseRef, keepHistory bool, emit func(Event)) error
	// Test runs the chart's test hooks.
	Test(ctx context.Context, ref ReleaseRef, emit func(Event)) error
	// History emits the revisions of a release, newest first.
	History(ctx context.Context, ref ReleaseRef, emit func(Revision)) error
	// Status returns the newest revision, or a zero Revision if the release
	// does not exist.
	Status(ctx context.Context, ref ReleaseRef) (Revision, error)
}

// ChartRef is a chart as a user names it: a repository URL (https:// or
// oci://) with a name and a version or range, or a local path.
type ChartRef struct {
	Repository string
	Name       string
	Version    string // exact or a semantic version range; empty: newest release
	Path       string // of a chart in a local directory; wins over Repository
	Auth       Auth
}

// Auth is how to reach a chart repository.
type Auth struct {
	Username string
	Password secret.Secret
	CA       string // PEM
	Cert     string // PEM
	Key      secret.Secret
}

// Chart is a resolved ChartRef.
type Chart struct {
	Ref     ChartRef
	Version string
	Digest  string // sha256:... of the archive, or of the tree of a Path
}

// ReleaseRef names a release.
type ReleaseRef struct {
	Namespace string
	Name      string
}

// Release is the desired state of one release.
type Release struct {
	Ref          ReleaseRef
	Chart        string        // directory with the chart's files
	Values       secret.Secret // merged values as JSON; they may hold secrets
	Timeout      time.Duration
	Wait         bool
	Atomic       bool // roll back a failed upgrade
	SkipCRDs     bool
	MaxHistory   int
	Force        bool
	DisableHooks bool
	Owner        string // recorded as a label on the release
}

// Rendered is a rendered release.
type Rendered struct {
	Notes  string
	Digest string // sha256 of the manifest
}

// Change is one difference between the release and what an upgrade would make.
type Change struct {
	Kind, Namespace, Name string
	Action                string // create, update, delete
	Diff                  string // unified, secrets masked
}

// Event is progress of a long operation.
type Event struct {
	Time    time.Time
	Message string
	Object  string // kind/name, if about one
	Failed  bool
}

// Revision is one entry of a release's history.
type Revision struct {
	Number     int
	Status     string // deployed, failed, superseded, pending-install, ...
	Chart      string // name-version
	AppVersion string
	Updated    time.Time
	Message    string
}
