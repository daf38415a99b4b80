package credentials

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// Explain asks every provider that Credential could ask for req, all at once,
// and tells what each said. What Credential hands out from then on is what was
// found; what is known for seconds only is not asked about again. It takes
// nothing away from Credential: it does not count as use, nor as the next try of
// a refused credential, and a failure makes nobody wait longer.
func (b *Broker) Explain(ctx context.Context, req Request) Explanation {
	q, err := newQuery(req)
	e := Explanation{Host: CanonicalHost(req.Host), Repository: req.Repository, Consumer: req.Consumer, Chain: []Step{}}
	if err == nil && b.ctx.Err() != nil {
		err = ErrClosed
	}
	if err != nil {
		e.Error = err.Error()
		return e
	}
	chain := *b.chain.Load()
	verdicts := askAll(ctx, chain, q)
	e.Chain = make([]Step, len(chain))
	var errs []error
	for i, l := range chain {
		step := stepOf(l, q, verdicts[i])
		switch step.Outcome {
		case Answered:
			if step.Wins = e.Provider == ""; step.Wins {
				e.Provider, e.ID = step.Provider, step.ID
			}
		case Failed, Rejected:
			errs = append(errs, verdicts[i].err)
		}
		e.Chain[i] = step
	}
	if e.Provider == "" {
		if err := chainErr(q, errs); err != nil {
			e.Error = err.Error()
		}
		e.Anonymous = len(errs) == 0
	}
	e.Advice = advice(e)
	return e
}

// askAll asks the providers that Credential could ask, at the same time.
func askAll(ctx context.Context, chain []link, q query) []verdict {
	verdicts := make([]verdict, len(chain))
	var asked sync.WaitGroup
	for i, l := range chain {
		if l.skips(q) == "" {
			asked.Go(func() { verdicts[i] = l.issuer.explain(ctx, q) })
		}
	}
	asked.Wait()
	return verdicts
}

func stepOf(l link, q query, v verdict) Step {
	step := Step{Provider: l.Address, Origin: l.Origin, Match: l.Match, NextTry: v.next, Cached: v.cached}
	if step.Reason = l.skips(q); step.Reason != "" {
		step.Outcome = NotAsked
		return step
	}
	if g := v.grant; g != nil {
		step.Outcome, step.ID, step.Scope = Answered, g.credential.ID, string(g.key.scope)
		step.Username, step.ExpiresAt = g.value.username, g.credential.ExpiresAt
		if v.err != nil {
			step.Error = v.err.Error()
		}
		return step
	}
	if nothing, ok := errors.AsType[*nothingError](v.err); ok {
		step.Outcome, step.Reason, step.Error = Anonymous, nothing.reason, nothing.failure
		return step
	}
	step.Outcome, step.Error = Failed, v.err.Error()
	if r, ok := errors.AsType[*RefusedError](v.err); ok {
		step.Outcome, step.Username = Rejected, r.Username
	}
	return step
}

// advice says what to do about e, to a person; nothing if all is well.
func advice(e Explanation) string {
	for _, step := range e.Chain {
		if step.Wins {
			return ""
		}
		instead := ""
		if e.Provider != "" {
			instead = fmt.Sprintf(" Until then %s answers in its place.", e.Provider)
		}
		switch secrets := step.Origin == PullSecrets; {
		case secrets && step.Outcome == Rejected:
			return fmt.Sprintf("Renew the password of %q in %s, or let that user read %s at %s; a new one is used at once.%s",
				step.Username, secretsOf(e.Consumer), e.Repository, e.Host, instead)
		case secrets && step.Outcome == Failed:
			return fmt.Sprintf("Put the pull secrets right, see the error of %s.%s", step.Provider, instead)
		case step.Outcome == Rejected:
			return fmt.Sprintf("Renew the credential of %s, or let it read %s at %s; a new one is used at once.%s",
				step.Provider, e.Repository, e.Host, instead)
		case step.Outcome == Failed:
			return fmt.Sprintf("Make %s work, see its error, or narrow its match so that it is not asked for %s.%s",
				step.Provider, e.Host, instead)
		}
	}
	return fmt.Sprintf("Nobody has a credential, so %s/%s is read anonymously. If it is not public, give the workload a pull secret, "+
		"or declare a registry_credential block with match = [%q].", e.Host, e.Repository, e.Host)
}

// secretsOf names the pull secrets of c: the broker knows those of the pod only.
func secretsOf(c Consumer) string {
	account := "the pull secrets of the service account " + cmp.Or(c.ServiceAccount, "default")
	if len(c.PullSecrets) == 0 {
		return account
	}
	return strings.Join(c.PullSecrets, ", ") + " or " + account
}

// List tells what is known of each provider, in the order of the chain.
func (b *Broker) List() []ProviderStatus {
	chain := *b.chain.Load()
	list := make([]ProviderStatus, len(chain))
	for i, l := range chain {
		list[i] = l.issuer.status()
		if err := l.match.err; err != nil {
			list[i].Error = err.Error()
		}
	}
	return list
}

// Metrics returns the figures of each provider, in the order of the chain.
func (b *Broker) Metrics() Metrics {
	chain := *b.chain.Load()
	m := Metrics{Providers: make([]ProviderMetrics, len(chain))}
	now := time.Now()
	for i, l := range chain {
		status := l.issuer.status()
		p := ProviderMetrics{Provider: l.Address, Counters: status.Counters, Cached: len(status.Cached), Expiry: -1}
		for _, c := range status.Cached {
			if left := c.ExpiresAt.Sub(now); !c.ExpiresAt.IsZero() && (p.Expiry < 0 || left < p.Expiry) {
				p.Expiry = max(left, 0)
			}
		}
		m.Providers[i] = p
	}
	return m
}
