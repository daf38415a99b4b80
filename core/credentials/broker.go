package credentials

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

// ErrClosed is returned after Close.
var ErrClosed = errors.New("the broker of registry credentials is closed")

// Broker gives credentials. See the package comment.
type Broker struct {
	o      Options
	log    *slog.Logger
	ctx    context.Context // of questions; ends with Close
	cancel context.CancelFunc
	tasks  tasks
	closed chan struct{} // once everything has ended

	configuring sync.Mutex
	chain       atomic.Pointer[[]link]
}

// link is a provider in the chain.
type link struct {
	Provider
	match  matcher
	issuer *issuer
}

// New returns a broker with an empty chain: everything is anonymous. The
// caller owes it a Close.
func New(o Options) *Broker {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Idle <= 0 {
		o.Idle = 10 * time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	b := &Broker{o: o, log: o.Logger, closed: make(chan struct{})}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.chain.Store(&[]link{})
	return b
}

// Configure replaces the chain; its order is the order of the questions. What
// is kept of a provider is told at Provider.Key. Instances that are not needed
// any more are closed once their calls have ended. It does not block.
func (b *Broker) Configure(providers []Provider) {
	b.configuring.Lock()
	defer b.configuring.Unlock()
	if !b.tasks.begin() {
		return
	}
	defer b.tasks.end()
	type id struct{ address, key string }
	before := *b.chain.Load()
	old := map[id]*issuer{}
	for _, l := range before {
		old[id{l.Address, l.Key}] = l.issuer
	}
	kept := map[*issuer]bool{}
	chain := make([]link, len(providers))
	for i, p := range providers {
		s := old[id{p.Address, p.Key}]
		if s == nil {
			s = newIssuer(b, p)
		} else {
			s.configure(p)
			delete(old, id{p.Address, p.Key})
			kept[s] = true
		}
		chain[i] = link{p, newMatcher(p.Match), s}
	}
	b.chain.Store(&chain)
	for _, l := range before {
		if !kept[l.issuer] {
			l.issuer.retire()
		}
	}
}

// Credential returns what to authenticate with for req; the zero Credential
// is anonymous. It waits for the providers no longer than ctx allows. The
// error is about the providers that failed, each named by its address; it
// holds a *RefusedError if the registry refuses what a provider gives.
func (b *Broker) Credential(ctx context.Context, req Request) (Credential, error) {
	return b.credential(ctx, req, true)
}

// Look is Credential for who only wants to know whether it has changed: it does
// not count as use, and what the registry has refused is not given for a new
// try.
func (b *Broker) Look(ctx context.Context, req Request) (Credential, error) {
	return b.credential(ctx, req, false)
}

func (b *Broker) credential(ctx context.Context, req Request, use bool) (Credential, error) {
	q, err := newQuery(req)
	if err != nil {
		return Credential{}, err
	}
	g, err := b.find(ctx, q, use)
	if err != nil || g == nil {
		return Credential{}, err
	}
	return g.credential, nil
}

// find asks along the chain; no grant and no error is anonymous.
func (b *Broker) find(ctx context.Context, q query, use bool) (*grant, error) {
	for {
		g, err := b.walk(ctx, *b.chain.Load(), q, use)
		if !errors.Is(err, errRetired) {
			return g, err
		}
		if b.ctx.Err() != nil {
			return nil, ErrClosed
		}
		// The chain was replaced meanwhile.
	}
}

func (b *Broker) walk(ctx context.Context, chain []link, q query, use bool) (*grant, error) {
	var errs []error
	for i := range chain {
		l := &chain[i]
		if l.skips(q) != "" {
			continue
		}
		v := l.issuer.ask(ctx, q, use)
		switch {
		case v.grant != nil:
			return v.grant, nil
		case errors.Is(v.err, errRetired):
			return nil, errRetired
		case errors.Is(v.err, registry.ErrAnonymous):
		case ctx.Err() != nil:
			return nil, v.err
		default:
			errs = append(errs, v.err)
		}
	}
	return nil, chainErr(q, errs)
}

// skips says why the provider is not asked for q; empty: it is.
func (l *link) skips(q query) string {
	switch {
	case l.Applier != "" && l.Applier != q.consumer.Applier:
		return "it is for what runs in " + l.Applier
	case !l.match.matches(q.host, q.repository):
		if l.match.err != nil {
			return "its match does not cover the image: " + l.match.err.Error()
		}
		return "its match does not cover the image"
	}
	return ""
}

// chainError is what the providers failed with, when none answered.
type chainError struct {
	image string
	errs  []error
}

func chainErr(q query, errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	return &chainError{q.host + "/" + q.repository, errs}
}

func (e *chainError) Error() string {
	texts := make([]string, len(e.errs))
	for i, err := range e.errs {
		texts[i] = err.Error()
	}
	return "no credential for " + e.image + ": " + strings.Join(texts, "; ")
}

func (e *chainError) Unwrap() []error { return e.errs }

// Reject says that the registry answered 401 to a request for req with c. The
// next Credential asks the provider anew. If it gives the same value again,
// that value is blocked for this repository and consumer, for 5 s up to 5 min,
// and the chain goes on as after a failure, with a *RefusedError; after that it
// is handed out until it is refused once more. A new value is used at once. An
// anonymous c lets the providers that had nothing be asked again.
func (b *Broker) Reject(_ context.Context, req Request, c Credential) {
	q, err := newQuery(req)
	if err != nil {
		return
	}
	if c.grant != nil {
		c.grant.issuer.reject(q, c.grant)
		return
	}
	for _, l := range *b.chain.Load() {
		if l.skips(q) == "" {
			l.issuer.doubt(q)
		}
	}
}

// Tags lists the tags of req.Repository by the API of the registry, if the
// provider whose credential Credential returns has one: emit is called for
// each, with times where they are known. native is false, without an error,
// if it has none: list by the registry protocol. With an error, the listing is
// partial.
//
// The provider that answers for the credential lists, and no other, so that
// nobody sees tags by a credential that is not theirs.
func (b *Broker) Tags(ctx context.Context, req Request, emit func(registry.Tag)) (native bool, err error) {
	q, err := newQuery(req)
	if err != nil {
		return false, err
	}
	if !b.tasks.begin() {
		return false, ErrClosed
	}
	defer b.tasks.end()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.ctx, cancel)()
	for {
		g, err := b.find(ctx, q, false)
		if err != nil || g == nil {
			return false, err
		}
		if native, err = g.issuer.tags(ctx, q, emit); !errors.Is(err, errRetired) {
			return native, err
		}
	}
}

func (b *Broker) tell(n Notice) {
	if b.o.Notify != nil {
		b.o.Notify(n)
	}
}

// Close ends what is under way and closes every instance. Later calls fail
// with ErrClosed.
func (b *Broker) Close(ctx context.Context) error {
	if b.tasks.close() {
		b.cancel()
		b.configuring.Lock()
		for _, l := range *b.chain.Load() {
			l.issuer.retire()
		}
		b.configuring.Unlock()
		go func() {
			b.tasks.running.Wait()
			close(b.closed)
		}()
	}
	select {
	case <-b.closed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close the broker of registry credentials: %w", ctx.Err())
	}
}
