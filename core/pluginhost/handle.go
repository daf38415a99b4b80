package pluginhost

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc"

	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/renderer"
)

const attempts = 2 // of an idempotent call

// Instance is one opened configuration of a plugin. It stays valid through
// restarts of the plugin's process: it is opened again in the new one before
// the next call. Methods are safe for concurrent use.
type Instance struct {
	p               *process
	kind, typ, name string
	config          json.RawMessage
	dir             string

	opening chan struct{} // held while Open or Close is under way

	mu       sync.Mutex
	session  *session // the one it is open in
	id       string   // in that session
	caps     []string
	warnings diag.List
	closed   bool
	blame    blame
}

var _ client.Caller = (*Instance)(nil)

func (p *process) add(kind, typ, name string, config json.RawMessage) (*Instance, error) {
	dir := filepath.Join(p.h.o.DataDir, "plugins", p.c.name, "cache", fileName(name))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("cache directory of %s: %w", name, err)
	}
	i := &Instance{
		p: p, kind: kind, typ: typ, name: name, config: slices.Clone(config), dir: dir,
		opening: make(chan struct{}, 1),
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.instances[i] = true
	return i, nil
}

// fileName makes a name that may stand in a path, distinct for distinct names.
func fileName(name string) string {
	plain := strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == ""
	if plain && name != "" && !strings.HasPrefix(name, ".") && len(name) < 100 {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return "_" + hex.EncodeToString(sum[:16])
}

// Source is the instance as a source.
func (i *Instance) Source() *client.Source { return client.NewSource(i) }

// Applier is the instance as an applier.
func (i *Instance) Applier() *Applier { return &Applier{client.NewApplier(i), i.p.h.scrub} }

// Registry is the instance as a provider of registry credentials.
func (i *Instance) Registry() *Registry { return &Registry{client.NewRegistry(i), i.p.h.scrub} }

// Renderer is the instance as a renderer. It is a renderer.Updater if the
// instance can do what that wants.
func (i *Instance) Renderer() renderer.Renderer {
	r := &Renderer{client.NewRenderer(i), i.p.h.scrub}
	if i.Has(renderer.CanUpdate) {
		return &Updater{r}
	}
	return r
}

// Helm is the instance as a helm.
func (i *Instance) Helm() *Helm { return &Helm{client.NewHelm(i), i.p.h.scrub} }

// Name returns the address it was opened with.
func (i *Instance) Name() string { return i.name }

// Capabilities returns what it can do beyond its kind.
func (i *Instance) Capabilities() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.caps)
}

// Has reports whether it has the capability, for example "source.watch".
func (i *Instance) Has(capability string) bool {
	return slices.Contains(i.Capabilities(), capability)
}

// Check asks the instance whether it can do its work now, and returns what keeps it
// from that. It is not answered if its process does not run, or does not answer
// either; see Host.Status for that.
func (i *Instance) Check(ctx context.Context) (answered bool, problem error) {
	s, id := i.openedIn()
	if s == nil {
		return false, nil
	}
	err := s.plugin.Check(ctx, id)
	for _, lost := range []error{client.ErrTransport, client.ErrUnknownInstance, context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, lost) {
			return false, nil
		}
	}
	return true, i.p.h.scrub.Err(err)
}

// Close frees the instance in its process; calls that run on it are
// cancelled, later ones fail with ErrClosed.
func (i *Instance) Close(ctx context.Context) error {
	i.mu.Lock()
	already := i.closed
	i.closed = true
	i.mu.Unlock()
	if already {
		return nil
	}
	defer i.forget()
	ctx, cancel := context.WithTimeout(ctx, i.p.h.timing.closing)
	defer cancel()
	select {
	case i.opening <- struct{}{}: // after this nobody opens it any more
		defer func() { <-i.opening }()
	case <-ctx.Done():
		return i.named(fmt.Errorf("close, while it is being opened: %w", ctx.Err()))
	}
	s, id := i.openedIn()
	if s == nil || !i.p.hold(s) {
		return nil // its process is gone, and with it the instance
	}
	defer i.p.release(s)
	err := s.plugin.Close(ctx, id)
	if err == nil || errors.Is(err, client.ErrUnknownInstance) || s.died(ctx, err) {
		return nil
	}
	return i.named(fmt.Errorf("close: %w", err))
}

// unlessClosed is ErrClosed for a call that was cancelled by Close, and not by
// its own context.
func (i *Instance) unlessClosed(ctx context.Context, err error) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed && ctx.Err() == nil && errors.Is(err, context.Canceled) {
		return ErrClosed
	}
	return err
}

// openedIn returns the session that the instance is open in, and its id there.
func (i *Instance) openedIn() (*session, string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.session, i.id
}

// forget takes the instance out of the supervisor's care.
func (i *Instance) forget() {
	i.mu.Lock()
	i.closed = true
	s := i.session
	i.mu.Unlock()
	if s != nil {
		s.revoke(i)
	}
	i.p.mu.Lock()
	delete(i.p.instances, i)
	i.p.mu.Unlock()
	i.p.nudge()
}

// firstOpen opens the instance for the first time.
func (i *Instance) firstOpen(ctx context.Context) (diag.List, error) {
	open := client.Method{Name: i.kind + ".Open", Idempotent: true}
	err := i.Call(ctx, open, func(context.Context, grpc.ClientConnInterface, string) error { return nil })
	if err != nil {
		return nil, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.p.h.scrub.Diags(i.warnings), nil
}

// Call implements client.Caller: it waits for the process, opens the instance
// in it if need be, and runs do with what remains of ctx, cut to m.Timeout.
// When the process ends meanwhile, do is cancelled, and run once more in the
// next process if nothing was sent yet or m is idempotent; otherwise the error
// is an *ExitedError. Errors name the instance and the plugin and hold no
// known secrets.
func (i *Instance) Call(ctx context.Context, m client.Method, do func(context.Context, grpc.ClientConnInterface, string) error) error {
	for attempt := 1; ; attempt++ {
		if err := i.heldBack(); err != nil {
			return i.named(err)
		}
		s, err := i.p.acquire(ctx)
		if err != nil {
			return i.named(err)
		}
		sent, err := i.attempt(ctx, s, m, do)
		died := err != nil && s.died(ctx, err)
		i.judge(s, died)
		lost := errors.Is(err, client.ErrUnknownInstance) && i.lost(s)
		i.p.release(s)
		switch {
		case err == nil:
			return nil
		case !died && !lost:
			return i.named(i.unlessClosed(ctx, err))
		case attempt < attempts && (lost || !sent || m.Idempotent) && ctx.Err() == nil:
			i.p.log.Info("plugin ended during a call; trying again", "call", m.Name, "instance", i.name)
		case lost:
			return i.named(err)
		default:
			return i.named(&ExitedError{Plugin: i.p.c.name, Call: m.Name, Exit: s.exit()})
		}
	}
}

// attempt makes one call in s. sent tells whether do was reached.
func (i *Instance) attempt(ctx context.Context, s *session, m client.Method, do func(context.Context, grpc.ClientConnInterface, string) error) (sent bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	id, err := i.open(ctx, s)
	if err != nil {
		return false, err
	}
	callCtx := ctx
	if m.Timeout > 0 {
		var stop context.CancelFunc
		callCtx, stop = context.WithTimeout(ctx, m.Timeout)
		defer stop()
	}
	err = do(callCtx, s.conn, id)
	if errors.Is(err, context.DeadlineExceeded) && callCtx.Err() != nil && ctx.Err() == nil {
		return true, fmt.Errorf("%s: no answer within %s: %w", m.Name, m.Timeout, err)
	}
	return true, err
}

// open returns the instance's id in s, and opens it there first if it is not.
func (i *Instance) open(ctx context.Context, s *session) (string, error) {
	select {
	case i.opening <- struct{}{}:
		defer func() { <-i.opening }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	i.mu.Lock()
	in, id, closed := i.session, i.id, i.closed
	i.mu.Unlock()
	switch {
	case closed:
		return "", ErrClosed
	case in == s:
		return id, nil
	}
	return i.openIn(ctx, s)
}

func (i *Instance) openIn(ctx context.Context, s *session) (string, error) {
	s.grant(i)
	opened, warnings, err := s.plugin.Open(ctx, client.OpenRequest{
		Kind: i.kind, Type: i.typ, Name: i.name, Config: i.config, Dir: i.dir,
		LogLevel: logLevel(i.p.log), HostServices: i.p.h.o.Services != nil,
	})
	if err != nil {
		s.revoke(i)
		return "", err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.session, i.id, i.caps, i.warnings = s, opened.Instance, opened.Capabilities, warnings
	return i.id, nil
}

// lost makes the next attempt open the instance anew, once the plugin says
// that it does not know it.
func (i *Instance) lost(s *session) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed || i.session != s {
		return false
	}
	i.session = nil
	return true
}

// named says in err which instance and plugin it is about.
func (i *Instance) named(err error) error {
	i.p.mu.Lock()
	plugin := strings.TrimSpace(i.p.c.name + " " + i.p.version)
	i.p.mu.Unlock()
	return &InstanceError{Kind: i.kind, Type: i.typ, Name: i.name, Plugin: plugin, Err: i.p.h.scrub.Err(err)}
}
