package release

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Tree is a tree of a source that is held until Release.
type Tree struct {
	Dir      string // absolute path
	Revision string // of the source, for people
	Digest   string // of the content; trees with the same digest are equal
	Release  func()
}

// Host is what a run needs of the world around it. It is used while the call
// that it is passed to lasts.
type Host struct {
	Helm     helm.Helm
	Observer *Observer // of the same helm; shared between its releases
	// Tree returns the newest tree of a source.
	Tree func(ctx context.Context, source string) (Tree, error)
	// Secret and Config read a key. What does not exist is an error that is
	// ErrNoValues.
	Secret  func(ctx context.Context, namespace, name, key string) (secret.Secret, error)
	Config  func(ctx context.Context, namespace, name, key string) (string, error)
	Remotes []helm.Remote // mirrors
}

// Options configures a Runner.
type Options struct {
	Dir    string // for charts and downloaded values; made if needed, and the Runner's own
	Logger *slog.Logger
	Now    func() time.Time // nil: time.Now
}

// Runner runs releases. Safe for concurrent use; the same release must not run
// twice at once.
type Runner struct {
	opts Options
}

// New makes a Runner.
func New(o Options) (*Runner, error) { return &Runner{opts: o}, nil }

// Run makes the release as s says, as far as one run may. tell is called from
// Run's goroutine. Errors are in the Report.
func (r *Runner) Run(ctx context.Context, s Spec, h Host, rec Record, tell func(Progress)) (Report, Record) {
	return Report{}, rec
}

// Plan tells what Run would do, without doing it.
func (r *Runner) Plan(ctx context.Context, s Spec, h Host, rec Record) (Plan, error) {
	return Plan{}, nil
}

// Template writes the objects of the release as YAML documents.
func (r *Runner) Template(ctx context.Context, s Spec, h Host, out io.Writer) error { return nil }

// Values returns the composed values as a JSON object.
func (r *Runner) Values(ctx context.Context, s Spec, h Host) (Composed, error) {
	return Composed{}, nil
}

// Composed are values from all places.
type Composed struct {
	Values secret.Secret // JSON object
	// Secrets are the JSON pointers of values that come from a Secret.
	Secrets []string
}

// Removal is the end of a release.
type Removal struct {
	Owner     string
	Ref       helm.ReleaseRef
	Uninstall Uninstall
}

// Removal is how to remove the release that r is of: as it was declared last.
func (r Record) Removal() Removal { return Removal{Owner: r.Owner, Ref: r.Ref, Uninstall: r.Uninstall} }

// Remove uninstalls a release of m.Owner. One that does not exist, or belongs to
// somebody else by now, is left alone: that is no error, and removed is false.
func (r *Runner) Remove(ctx context.Context, m Removal, h Host, tell func(Progress)) (removed bool, err error) {
	return false, nil
}
