package credentials

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

// errChanged says that the instance turned out to be of another sort than the
// one before it; the question is asked again.
var errChanged = errors.New("the plugin has changed")

// settle files what the provider said.
func (s *issuer) settle(f *flight, c registry.Credential, err error) {
	s.mu.Lock()
	defer s.unlock()
	defer close(f.done)
	delete(s.flights, f.key)
	now := time.Now()
	var scope registry.Scope
	if err == nil {
		scope, err = checkCredential(c)
	}
	switch {
	case s.retired || s.b.ctx.Err() != nil || errors.Is(err, errChanged):
	case errors.Is(err, registry.ErrAnonymous):
		s.nothing(f, err, now)
	case err != nil:
		s.failed(f, err, now)
	default:
		s.granted(f, c, scope, now)
	}
}

// granted files a credential.
func (s *issuer) granted(f *flight, c registry.Credential, scope registry.Scope, now time.Time) {
	if scope == registry.ScopeGlobal && f.consumer != "" {
		scope = registry.ScopeRegistry // which hosts are meant is different for each consumer
	}
	k := keyOf(scope, f.query, f.consumer)
	s.learn(f.query.host, scope)
	a := s.replace(f, k)
	if a.alive(now) {
		s.counters.Refreshes++
	}
	skewed := a.live(now, s.b.o.Now(), c.ExpiresAt, s.b.o.Rand(), s.recheck())
	before := a.grant
	a.grant = s.grant(k, f.query, c, a.expires)
	if before == nil || before.value != a.grant.value {
		a.confirmed = time.Time{} // that was another one
	}
	s.remember(a.grant.value)
	a.seq, a.received, a.used, a.resting = f.seq, now, false, false
	a.err, a.failures = nil, 0
	if skewed && !s.skewed {
		s.note(Skewed, true, fmt.Sprintf(
			"the credential for %s ended at %s, by the clock of this machine: it is used for %s at a time; check the clock",
			f.query.host, c.ExpiresAt.UTC().Format(time.RFC3339), skewedLife))
	}
	s.skewed = skewed
	s.recovered(a)
	s.schedule(a, now)
}

func (s *issuer) grant(k key, q query, c registry.Credential, expires time.Time) *grant {
	g := &grant{issuer: s, key: k, query: q, value: value{c.Username, c.Password, c.IdentityToken}}
	g.credential = Credential{
		ID: identity(s.provider, k, q.consumer), Provider: s.address,
		Username: c.Username, Password: c.Password, IdentityToken: c.IdentityToken, ExpiresAt: expires, grant: g,
	}
	return g
}

// nothing files that the provider has nothing for the repository. What it had
// for the same question is withdrawn.
func (s *issuer) nothing(f *flight, why error, now time.Time) {
	s.learn(f.query.host, registry.ScopeRepository)
	a := s.replace(f, keyOf(registry.ScopeRepository, f.query, f.consumer))
	wait := nothingFor
	if s.provider.Origin == PullSecrets {
		wait = noSecretFor
	}
	a.grant, a.received, a.failures = nil, now, 0
	a.err, a.until = &nothingError{reason: s.reason(why)}, now.Add(wait)
	s.recovered(a)
	s.schedule(a, now)
}

// failed files a failure; a grant that is there stays.
func (s *issuer) failed(f *flight, err error, now time.Time) {
	s.counters.Failures++
	a := s.replace(f, f.key)
	had := a.err
	a.err = s.named(err)
	if nothing, ok := errors.AsType[*nothingError](had); ok && now.Sub(a.received) < nothingLeft {
		a.err = &nothingError{reason: nothing.reason, failure: a.err.Error()}
	}
	if f.curious && a.failures > 0 { // it is no reason to wait longer
		s.schedule(a, now)
		return
	}
	a.failures++
	a.resting = false
	delay := retryDelay(err, a.failures, s.b.o.Rand())
	a.until = now.Add(delay)
	if s.openErr != nil && errors.Is(err, s.openErr) {
		a.until = s.openTill // it makes no sense before, and must not wait for both
	}
	s.logFailure("cannot get a registry credential", a.err, a.failures, delay)
	if a.failures >= manyFailures && !a.told {
		a.told = true
		if s.failing++; s.failing == 1 {
			s.note(Failing, true, s.failingMessage(a, now))
		}
	}
	s.schedule(a, now)
}

// logFailure warns once of failures in a row.
func (s *issuer) logFailure(message string, err error, failures int, delay time.Duration) {
	level := slog.LevelDebug
	if failures == manyFailures {
		level = slog.LevelWarn
	}
	s.b.log.Log(s.b.ctx, level, message, "provider", s.address, "err", err, "failures", failures, "retry_in", delay)
}

func (s *issuer) failingMessage(a *answer, now time.Time) string {
	message := fmt.Sprintf("failed %d times in a row: %v", a.failures, a.err)
	switch {
	case a.alive(now) && a.expires.IsZero():
		message += "; the credential from before is used"
	case a.alive(now):
		message += "; the credential from before ends in " + a.expires.Sub(now).Round(time.Second).String()
	}
	return message
}

// recovered tells that a works again, if it was told that it does not and
// nothing else of the provider fails.
func (s *issuer) recovered(a *answer) {
	if !a.told {
		return
	}
	a.told = false
	if s.failing--; s.failing == 0 {
		s.note(Recovered, false, "it works again")
	}
}

// replace returns the answer for k, which is made if need be, in place of the
// one that the question was about.
func (s *issuer) replace(f *flight, k key) *answer {
	a := s.answers[k]
	if a == nil {
		a = &answer{key: k}
		s.answers[k] = a
	}
	if old := s.answers[f.key]; old != nil && old != a {
		if old.told && !a.told { // what was told of the one holds for the other
			old.told, a.told = false, true
		}
		s.drop(old)
	}
	a.settled = time.Now()
	return a
}

func (s *issuer) drop(a *answer) {
	if a.timer != nil {
		a.timer.Stop()
	}
	if a.told {
		s.failing--
	}
	delete(s.answers, a.key)
}

// recheck is how often an endless credential is asked for anew.
func (s *issuer) recheck() time.Duration {
	if s.provider.Origin == PullSecrets {
		return recheckSecrets
	}
	return recheck
}

// schedule sets the timer of a to what happens next.
func (s *issuer) schedule(a *answer, now time.Time) {
	after := a.next(now).Sub(now)
	if a.timer == nil {
		a.timer = s.b.tasks.after(after, func() { s.tick(a) })
		return
	}
	a.timer.Reset(after)
}

// tick does what is due. It goes by what is, not by what was when the timer
// was set: an answer may have come in between.
func (s *issuer) tick(a *answer) {
	s.mu.Lock()
	defer s.unlock()
	now := time.Now()
	switch {
	case s.retired || s.answers[a.key] != a || s.flights[a.key] != nil:
	case now.Before(a.next(now)):
		s.schedule(a, now)
	case a.alive(now) && a.used:
		s.start(a.key, a.grant.query, a.key.consumer)
	case a.alive(now) && !a.expires.IsZero(): // nobody needs it at present
		a.resting = true
		s.schedule(a, now)
	case !a.alive(now) && a.grant != nil && a.err != nil: // its renewals failed; their count lives on
		a.grant = nil
		s.schedule(a, now)
	default:
		s.drop(a)
	}
}
