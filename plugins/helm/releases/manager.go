// Package releases installs, changes and removes Helm releases, and reads what
// Helm has recorded about them.
//
// Releases are recorded as the helm command records them. Two things differ
// from the command, because a daemon runs 200 of them in one process:
//
//   - What Helm does takes no context, or returns when the context ends and goes
//     on in the background. Here each operation has a transport of its own that
//     ends with the context, so that Helm's own code comes to an end, in order,
//     with an error; and the record of what became of the release is written
//     through another one, which does not end.
//   - Objects are not validated against a downloaded OpenAPI schema: the API
//     server does it, strictly, in every request. That costs nothing.
package releases

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"helm.sh/helm/v4/pkg/action"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/kube"
	releaser "helm.sh/helm/v4/pkg/release"
	release "helm.sh/helm/v4/pkg/release/v1"
	"helm.sh/helm/v4/pkg/storage"

	"github.com/sluice-gitops/sluice/plugins/helm/cluster"
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// Storage is where Helm records releases.
type Storage string

const (
	Secrets    Storage = "secret"
	ConfigMaps Storage = "configmap"
)

// defaultTimeout is that of the helm command.
const defaultTimeout = 5 * time.Minute

// Manager works on the releases of one cluster. It is safe for concurrent use:
// who changes a release waits for whoever else does, until that has really ended.
type Manager struct {
	cluster *cluster.Cluster
	storage Storage
	seen    sights
	turns   turns

	mu      sync.Mutex
	current *session
}

// New makes a Manager. It sends no request.
func New(c *cluster.Cluster, s Storage) (*Manager, error) {
	m := &Manager{cluster: c, storage: s, seen: sights{of: map[helm.ReleaseRef]*sight{}}, turns: turns{of: map[helm.ReleaseRef]*turn{}}}
	if _, err := m.session(); err != nil {
		return nil, err
	}
	return m, nil
}

// operation is one thing that is done with one release.
type operation struct {
	session *session
	ref     helm.ReleaseRef
	ctx     context.Context
	config  *action.Configuration
	getter  *cluster.Getter
	kube    *client
	journal *journal
	log     *progress
	hidden  hidden // of all revisions that it is about
}

// begin prepares an operation that ends with ctx.
func (m *Manager) begin(ctx context.Context, ref helm.ReleaseRef, emit func(helm.Event)) (*operation, error) {
	if err := check(ref); err != nil {
		return nil, err
	}
	s, err := m.session()
	if err != nil {
		return nil, err
	}
	if err := s.confine(ref); err != nil {
		return nil, err
	}
	o := &operation{session: s, ref: ref, ctx: ctx, log: newProgress(emit), journal: &journal{Driver: s.driver(ref.Namespace)}}
	o.getter = s.connection.For(ctx, ref.Namespace)
	o.journal.confine = o.confineRelease
	o.journal.hidden = &o.hidden
	o.kube = newClient(ctx, o.getter, ref.Namespace, o.log)
	o.kube.confine = o.confineManifest
	o.config = action.NewConfiguration(action.ConfigurationSetLogger(o.log))
	o.config.RESTClientGetter = o.getter
	o.config.KubeClient = o.kube
	o.config.Releases = storage.Init(o.journal)
	o.config.Releases.SetLogger(slog.DiscardHandler)
	o.config.HookOutputFunc = o.log.output
	return o, nil
}

func check(ref helm.ReleaseRef) error {
	if err := chartutil.ValidateReleaseName(ref.Name); err != nil {
		return sdk.Permanent(fmt.Errorf("release name %q: %w", ref.Name, err))
	}
	if ref.Namespace == "" {
		return sdk.Permanent(fmt.Errorf("release %s has no namespace", ref.Name))
	}
	return nil
}

// capable gives the templates what they may ask about the cluster.
func (o *operation) capable() error {
	capabilities, err := o.session.connection.Capabilities()
	o.config.Capabilities = capabilities
	return err
}

// last returns the newest revision, nil if there is none.
func (o *operation) last() (*release.Release, error) {
	last, _, err := o.newest()
	return last, err
}

// newest is last with its record. It does not read the revisions before it, as
// Helm does.
func (o *operation) newest() (*release.Release, head, error) {
	heads, err := o.session.revisions(context.WithoutCancel(o.ctx), o.ref) // also asked for when it has been cancelled
	if err != nil || len(heads) == 0 {
		return nil, head{}, err
	}
	last, err := o.read(heads[0])
	return last, heads[0], err
}

// read returns a revision, nil if it has gone. What it hides is hidden in what
// the operation says from now on.
func (o *operation) read(h head) (*release.Release, error) {
	r, err := o.session.read(o.ref, h.record)
	if r != nil {
		o.hidden.hide(r.Config)
	}
	return r, err
}

// v1 is a release in the only version of its format.
func v1(got releaser.Releaser) (*release.Release, error) {
	switch r := got.(type) {
	case *release.Release:
		return r, nil
	case nil:
		return nil, errors.New("no release")
	}
	return nil, fmt.Errorf("a release of the type %T is not supported", got)
}

// failure is err with the reason why the operation was ended, if it was.
func (o *operation) failure(err error) error {
	if cause := context.Cause(o.ctx); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return o.hidden.reword(fmt.Errorf("release %s/%s: %w", o.ref.Namespace, o.ref.Name, err))
}

// waiting returns how Helm is to wait.
func waiting(w helm.Wait) (kube.WaitStrategy, error) {
	switch w {
	case helm.WaitHooks:
		return kube.HookOnlyStrategy, nil
	case helm.WaitReady:
		return kube.StatusWatcherStrategy, nil
	case helm.WaitPoll:
		return kube.LegacyStrategy, nil
	}
	return "", sdk.Permanent(fmt.Errorf("there is no way to wait that is called %q", w))
}

// waitOptions end a wait with the operation.
func (o *operation) waitOptions() []kube.WaitOption {
	return []kube.WaitOption{kube.WithWaitContext(o.ctx)}
}

// oneLine makes a message of several lines fit for an event or a record.
func oneLine(s string) string {
	return strings.Join(strings.Fields(s), " ")
}
