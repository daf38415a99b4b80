package credentials

import (
	"errors"
	"fmt"
	"time"

	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

// RefusedError says that the registry refuses the credential of a provider.
type RefusedError struct {
	Provider   string // address
	Host       string
	Repository string
	Username   string
}

// Error says whose credential it is and what to do.
func (e *RefusedError) Error() string {
	user := ""
	if e.Username != "" {
		user = fmt.Sprintf(" (user %q)", e.Username)
	}
	return fmt.Sprintf("%s: the registry %s refuses its credential%s for %s: renew it there, or let it read the repository",
		e.Provider, e.Host, user, e.Repository)
}

var refusalBackoff = sched.Backoff{Min: 5 * time.Second, Max: 5 * time.Minute}

const (
	// A refused credential that is tried again and not refused for this long is
	// good.
	trialFor = 10 * time.Minute
	// A refusal that nobody asks about is forgotten.
	forgetRefusal = time.Hour
)

// refusalKey is one repository for one consumer: that a credential may not
// read one repository says nothing about the others.
type refusalKey struct{ host, repository, consumer string }

// refusal is a value that the registry has refused, and what happens with it:
// the provider is asked anew; if it gives the same value, that is blocked for a
// while; then the provider is asked anew once more, and if it still gives the
// same value, that is on trial: it is handed out until it is refused again,
// which blocks it at once and for longer.
type refusal struct {
	value   value
	err     *RefusedError
	phase   phase
	count   int       // refusals in a row
	need    uint64    // with asking: an answer to a question before this one does not count
	again   bool      // with asking: a block has ended
	until   time.Time // of blocked and trial; zero: Refused was not told
	touched time.Time
}

type phase int

const (
	asking phase = iota
	blocked
	trial
)

// ruling is what judge decides.
type ruling int

const (
	passed ruling = iota
	askAnew
	refused
)

// reject files that the registry refused g for q.
func (s *issuer) reject(q query, g *grant) {
	s.mu.Lock()
	defer s.unlock()
	now := time.Now()
	a := s.answers[g.key]
	if s.retired || a == nil || a.grant == nil || a.grant.value != g.value {
		return // there is another one by now
	}
	s.counters.Refusals++
	s.forgetRefusals(now)
	k := refusalKey{q.host, q.repository, g.key.consumer}
	r := s.refusals[k]
	switch {
	case r == nil || r.value != g.value:
		r = &refusal{
			value: g.value, count: 1, touched: now,
			err: &RefusedError{s.address, q.host, q.repository, g.value.username},
		}
		if a.confirmed.IsZero() || now.Sub(a.confirmed) >= refusalBackoff.Min {
			s.seq++
			r.need = s.seq
		}
		s.refusals[k] = r
	case r.phase == trial:
		r.count++
		s.block(r, now)
	}
	// Otherwise it is a late word on what is known.
}

func (s *issuer) block(r *refusal, now time.Time) {
	if r.until.IsZero() {
		s.note(Refused, true, r.err.Error())
	}
	r.phase, r.until = blocked, now.Add(refusalBackoff.Delay(r.count, s.b.o.Rand()))
}

// judge says whether the grant of a may be handed out where r, which may be
// nil, stands against it. use tells that it will be tried.
func (s *issuer) judge(r *refusal, a *answer, use bool, now time.Time) ruling {
	if r == nil {
		return passed
	}
	r.touched = now
	if r.value != a.grant.value {
		s.pardon(r, a, "it gives another credential for %s/%s now")
		return passed
	}
	if r.phase == blocked && !now.Before(r.until) {
		s.seq++
		r.phase, r.again, r.need = asking, true, s.seq
	}
	switch {
	case r.phase == asking:
		return s.compare(r, a, use, now)
	case r.phase == blocked:
		return refused
	case !now.Before(r.until):
		s.pardon(r, a, "its credential for %s/%s is good again")
	}
	return passed
}

// compare judges an answer of the provider that holds the refused value.
func (s *issuer) compare(r *refusal, a *answer, use bool, now time.Time) ruling {
	switch {
	case a.seq <= r.need:
		return askAnew
	case !r.again:
		a.confirmed = now
		s.block(r, now)
		return refused
	case !use:
		return refused
	}
	r.phase, r.until = trial, now.Add(trialFor)
	return passed
}

// pardon forgets r, and tells why, if the refusal was told.
func (s *issuer) pardon(r *refusal, a *answer, why string) {
	delete(s.refusals, refusalKey{r.err.Host, r.err.Repository, a.key.consumer})
	if !r.until.IsZero() {
		s.note(Recovered, false, fmt.Sprintf(why, r.err.Host, r.err.Repository))
	}
}

func (s *issuer) forgetRefusals(now time.Time) {
	for k, r := range s.refusals {
		if now.Sub(r.touched) >= forgetRefusal {
			delete(s.refusals, k)
		}
	}
}

// doubt lets the provider be asked again what it has for q, after the registry
// refused an anonymous request.
func (s *issuer) doubt(q query) {
	s.mu.Lock()
	defer s.unlock()
	consumer := ""
	if s.forConsumers {
		consumer = consumerKey(q.consumer)
	}
	a := s.answers[keyOf(registry.ScopeRepository, q, consumer)]
	if a != nil && errors.Is(a.err, registry.ErrAnonymous) && time.Since(a.received) >= doubtAfter {
		s.drop(a)
	}
}
