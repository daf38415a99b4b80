package release

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/sluice-gitops/sluice/core/tree"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Tree is a tree of a source that is held until Release.
type Tree struct {
	Dir      string // absolute path
	Revision string // of the source, for people
	Digest   string // of the content: equal trees have equal ones; empty: not known
	Release  func()
}

// Host is what a run needs of the world around it. It is used while the call
// that it is passed to lasts.
type Host struct {
	Name     string // tells this helm apart from others
	Helm     helm.Helm
	Observer *Observer // of the same helm; shared between its releases
	// Tree returns the newest tree of a source.
	Tree func(ctx context.Context, source string) (Tree, error)
	// Secret and Config read a key. What does not exist is an error that is
	// ErrNoValues.
	Secret  func(ctx context.Context, namespace, name, key string) (secret.Secret, error)
	Config  func(ctx context.Context, namespace, name, key string) (string, error)
	Remotes []helm.Remote // mirrors
	// Declared names the living declaration that is an owner, "" if there is
	// none. If it is nil, every owner is taken for living.
	Declared func(owner string) string
	// Asked says that a person waits for the run, who wants to know what is and
	// not what was a moment ago: all that is read from the cluster is read anew.
	Asked bool
	// Can tells whether Helm has a capability, see helm.CanCompare; nil:
	// whether it implements it.
	Can func(capability string) bool
}

func (h *Host) can(capability string) bool { return h.Can == nil || h.Can(capability) }

// Options configures a Runner.
type Options struct {
	Dir    string       // for charts; made if needed, and the Runner's own
	Logger *slog.Logger // nil: none
	Now    func() time.Time
}

// Runner runs releases. It is safe for concurrent use; the same release must
// not run twice at once.
type Runner struct {
	charts *tree.Store
	fetch  *fetcher
	marks  marks
	tmp    string // for what is rendered
	log    *slog.Logger
	now    func() time.Time
}

// New makes a Runner. It sends nothing.
func New(o Options) (*Runner, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Dir == "" {
		return nil, errors.New("releases: no directory for charts")
	}
	charts, err := tree.Open(filepath.Join(o.Dir, "charts"), tree.Options{Keep: chartsKept, KeepBytes: chartsMax, MaxFiles: chartFiles, MaxBytes: chartMax})
	if err != nil {
		return nil, fmt.Errorf("releases: charts: %w", err)
	}
	r := &Runner{
		charts: charts, fetch: newFetcher(o.Now), log: o.Logger, now: o.Now,
		marks: marks(filepath.Join(o.Dir, "underway")), tmp: filepath.Join(o.Dir, "tmp"),
	}
	// What was being rendered when a process was killed goes.
	if err := errors.Join(os.RemoveAll(r.tmp), os.MkdirAll(r.tmp, 0o700), os.MkdirAll(string(r.marks), 0o700)); err != nil {
		return nil, fmt.Errorf("releases: %w", err)
	}
	return r, nil
}

// Close ends what is kept between runs, after the last of them.
func (r *Runner) Close() error {
	r.fetch.close()
	return r.charts.Close()
}

// marks is a directory of marks for operations under way, so that a run knows
// whether what it finds locked was left by this daemon, before it was killed.
// The cluster does not tell: other daemons make the same labels, and a rollback
// or an uninstall looks like one of the helm command.
type marks string

func (m marks) file(helm string, ref helm.ReleaseRef) string {
	return filepath.Join(string(m), short(fmt.Appendf(nil, "%q %q %q", helm, ref.Namespace, ref.Name), 32))
}

// set marks a release.
func (m marks) set(helm string, ref helm.ReleaseRef) error {
	if err := os.WriteFile(m.file(helm, ref), []byte(refString(ref)+"\n"), 0o600); err != nil {
		return fmt.Errorf("mark release %s as being worked on: %w", refString(ref), err)
	}
	return nil
}

// clear takes the mark away. One that stays, until the release is seen unlocked,
// frees it too early, at worst, while somebody else is at work on it.
func (m marks) clear(helm string, ref helm.ReleaseRef) { _ = os.Remove(m.file(helm, ref)) }

func (m marks) has(helm string, ref helm.ReleaseRef) bool {
	_, err := os.Lstat(m.file(helm, ref))
	return err == nil
}
