package credentials

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// errRetired says that the issuer is in no chain any more.
var errRetired = errors.New("not in the configuration any more")

// issuer is a provider at work: its instance, its answers, its questions under
// way. A reload that does not change the provider keeps it.
type issuer struct {
	b       *Broker
	address string

	mu       sync.Mutex
	provider Provider
	retired  bool
	notices  []Notice // to be told once mu is free

	instance *instance
	opening  chan struct{} // closed when the opening that is under way has ended
	openErr  error
	openTill time.Time // openErr is not tried again before
	openings int       // that failed in a row
	idle     *time.Timer

	known        bool // the two below; they need an instance once
	forConsumers bool
	lists        bool

	seq      uint64 // numbers questions and refusals
	answers  map[key]*answer
	flights  map[key]*flight
	scopes   map[string]registry.Scope // of the last answer, by host
	refusals map[refusalKey]*refusal
	given    []secret.Secret // lately
	failing  int             // answers that were told of
	skewed   bool
	counters Counters
}

// flight is a question under way.
type flight struct {
	curious  bool // asked for by Explain only
	key      key
	query    query
	consumer string
	seq      uint64
	done     chan struct{}
}

func newIssuer(b *Broker, p Provider) *issuer {
	return &issuer{
		b: b, address: p.Address, provider: p, answers: map[key]*answer{}, flights: map[key]*flight{},
		scopes: map[string]registry.Scope{}, refusals: map[refusalKey]*refusal{},
	}
}

// verdict is what an issuer has to say for a query.
type verdict struct {
	grant  *grant
	err    error     // without a grant: *nothingError, *RefusedError or a failure; with one, of its renewal
	next   time.Time // with err: it is not asked again before
	cached bool      // it did not have to be asked
}

// ask returns what the provider has for q. It waits for questions under way,
// also those of others, no longer than ctx allows. use tells that the grant
// will be used; otherwise it is looked at only.
func (s *issuer) ask(ctx context.Context, q query, use bool) verdict {
	for cached := true; ; cached = false {
		v, wait := s.look(q, use, cached)
		if wait == nil {
			v.cached = cached
			return v
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return verdict{err: &providerError{s.address, "it has not answered in time", ctx.Err()}}
		}
	}
}

// look returns what is known for q or, if that is not enough, what to wait for
// before looking again. first tells that the caller has not waited yet: what
// it waited for does not count as used by that alone, or everything would be
// renewed once for nobody.
func (s *issuer) look(q query, use, first bool) (verdict, <-chan struct{}) {
	s.mu.Lock()
	defer s.unlock()
	now := time.Now()
	switch {
	case s.retired:
		return verdict{err: errRetired}, nil
	case !s.known && s.openErr != nil && now.Before(s.openTill):
		return verdict{err: s.openErr, next: s.openTill}, nil
	case !s.known:
		return verdict{}, s.open()
	}
	consumer := ""
	if s.forConsumers {
		consumer = consumerKey(q.consumer)
	}
	a, negative := s.find(q, consumer, now)
	switch {
	case a != nil:
		return s.serve(a, q, consumer, use, first, now)
	case negative != nil:
		return verdict{err: negative.err, next: negative.until}, nil
	}
	scope := cmp.Or(s.scopes[q.host], registry.ScopeRegistry) // until it is known better
	return verdict{}, s.start(keyOf(scope, q, consumer), q, consumer).done
}

// explain returns what the provider has for q, for people: it is asked anew
// unless what is known is fresh.
func (s *issuer) explain(ctx context.Context, q query) verdict {
	f := s.startRefresh(q)
	if f != nil {
		select {
		case <-f.done:
		case <-ctx.Done():
		}
	}
	v := s.ask(ctx, q, false)
	v.cached = v.cached && f == nil
	return v
}

// startRefresh starts the question; nil if there is none to ask.
func (s *issuer) startRefresh(q query) *flight {
	s.mu.Lock()
	defer s.unlock()
	if s.retired || !s.known {
		return nil
	}
	consumer := ""
	if s.forConsumers {
		consumer = consumerKey(q.consumer)
	}
	now := time.Now()
	a, negative := s.find(q, consumer, now)
	if a == nil {
		a = negative
	}
	if a == nil || now.Sub(a.settled) < freshFor {
		return nil
	}
	underWay := s.flights[a.key] != nil
	f := s.start(a.key, q, consumer)
	f.curious = !underWay
	return f
}

// find returns the answer with a grant for q, or the negative one that stands
// in the way of asking. The narrower scope goes first. An answer of global
// scope is for the hosts that the provider answers for, which only it can tell:
// it must have been asked for the host before, or a wide match would lead its
// credential to registries that it knows nothing of.
func (s *issuer) find(q query, consumer string, now time.Time) (found, negative *answer) {
	for _, scope := range [...]registry.Scope{registry.ScopeRepository, registry.ScopeRegistry, registry.ScopeGlobal} {
		if scope == registry.ScopeGlobal && s.scopes[q.host] != scope {
			break
		}
		a := s.answers[keyOf(scope, q, consumer)]
		switch {
		case a == nil:
		case a.alive(now):
			return a, nil
		case a.heldBack(now) && negative == nil:
			negative = a
		}
	}
	return nil, negative
}

// serve hands out the grant of a, unless the registry refuses it or its life
// is almost over.
func (s *issuer) serve(a *answer, q query, consumer string, use, first bool, now time.Time) (verdict, <-chan struct{}) {
	if len(s.refusals) > 0 {
		r := s.refusals[refusalKey{q.host, q.repository, consumer}]
		switch s.judge(r, a, use, now) {
		case refused:
			return verdict{err: r.err, next: r.until}, nil
		case askAnew:
			if a.heldBack(now) {
				return verdict{err: a.err, next: a.until}, nil
			}
			return verdict{}, s.start(a.key, q, consumer).done
		}
	}
	if use {
		a.used = a.used || first
		if !now.Before(a.refresh) && !a.heldBack(now) {
			f := s.start(a.key, a.grant.query, consumer)
			if !a.late.IsZero() && !now.Before(a.late) {
				return verdict{}, f.done
			}
		}
	}
	return verdict{grant: a.grant, err: a.err}, nil
}

// start asks the provider, unless it is being asked for k already.
func (s *issuer) start(k key, q query, consumer string) *flight {
	if f := s.flights[k]; f != nil {
		return f
	}
	s.seq++
	q.consumer.PullSecrets = slices.Clone(q.consumer.PullSecrets) // it outlives the caller
	f := &flight{key: k, query: q, consumer: consumer, seq: s.seq, done: make(chan struct{})}
	if !s.b.tasks.begin() {
		s.retired = true
		close(f.done)
		return f
	}
	s.flights[k] = f
	s.counters.Requests++
	go func() {
		defer s.b.tasks.end()
		s.fly(f)
	}()
	return f
}

// fly asks the provider in the broker's time: it goes on when the caller that
// began it gives up.
func (s *issuer) fly(f *flight) {
	ctx, cancel := context.WithTimeout(s.b.ctx, askTimeout)
	defer cancel()
	in, err := s.acquire(ctx)
	var c registry.Credential
	if err == nil {
		if in.forConsumers == (f.consumer != "") {
			c, err = in.handle.Credential(ctx, f.query.request(in.forConsumers))
		} else {
			err = errChanged
		}
		s.release(in)
	}
	s.settle(f, c, err)
}

// maxScopes bounds the hosts whose scope is remembered. It is only learned anew.
const maxScopes = 10_000

func (s *issuer) learn(host string, scope registry.Scope) {
	if len(s.scopes) >= maxScopes && s.scopes[host] == "" {
		clear(s.scopes)
	}
	s.scopes[host] = scope
}

// unlock frees mu and tells what is to be told.
func (s *issuer) unlock() {
	notices := s.notices
	s.notices = nil
	s.mu.Unlock()
	for _, n := range notices {
		s.b.tell(n)
	}
}

func (s *issuer) note(reason NoticeReason, warning bool, message string) {
	s.notices = append(s.notices, Notice{Provider: s.address, Reason: reason, Message: message, Warning: warning})
}

// providerError is a failure of a provider, without the secrets that the
// broker knows of it.
type providerError struct {
	provider, text string
	err            error
}

func (e *providerError) Error() string { return e.provider + ": " + e.text }
func (e *providerError) Unwrap() error { return e.err }

const (
	// minSecret is the length from which a secret is looked for in texts.
	minSecret = 4
	// maxGiven bounds the secrets that are remembered for that beyond their
	// time in the cache.
	maxGiven = 64
)

// remember keeps what must not be seen in errors.
func (s *issuer) remember(v value) {
	for _, given := range []secret.Secret{v.password, v.token} {
		if given.IsZero() || slices.Contains(s.given, given) {
			continue
		}
		if len(s.given) == maxGiven {
			s.given = slices.Delete(s.given, 0, 1)
		}
		s.given = append(s.given, given)
	}
}

// named says in err whose failure it is, and takes out secrets that the
// provider has given.
func (s *issuer) named(err error) error {
	if already, ok := errors.AsType[*providerError](err); ok && already.provider == s.address {
		return err
	}
	return &providerError{s.address, oneLine(s.scrub(err.Error())), err}
}

// oneLine is text of several errors, as errors.Join makes it, on one line.
func oneLine(text string) string {
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")
}

// scrub takes the secrets that the provider has given out of text.
func (s *issuer) scrub(text string) string {
	scrub := func(v secret.Secret) {
		if plain := v.Reveal(); len(plain) >= minSecret {
			text = strings.ReplaceAll(text, plain, secret.Redacted)
		}
	}
	for _, v := range s.given {
		scrub(v)
	}
	for _, a := range s.answers {
		if a.grant != nil {
			scrub(a.grant.value.password)
			scrub(a.grant.value.token)
		}
	}
	return text
}

// nothingError says that a provider has nothing, and why, if it told, or that it
// had nothing when it was last able to tell.
type nothingError struct{ reason, failure string }

func (e *nothingError) Error() string {
	text := e.reason
	if text == "" {
		text = registry.ErrAnonymous.Error()
	}
	if e.failure != "" {
		text += "; asked again, it failed: " + e.failure
	}
	return text
}

// Unwrap makes it registry.ErrAnonymous, and nothing else of what it was.
func (e *nothingError) Unwrap() error { return registry.ErrAnonymous }

// maxReason bounds what is kept of a reason, in bytes.
const maxReason = 500

// reason is what the provider said of why it has nothing: the text in which it
// wrapped registry.ErrAnonymous, on one line.
func (s *issuer) reason(err error) string {
	text := strings.TrimSpace(strings.TrimSuffix(err.Error(), registry.ErrAnonymous.Error()))
	text = strings.Join(strings.Fields(s.scrub(strings.TrimSuffix(text, ":"))), " ")
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + " ..."
	}
	return text
}
