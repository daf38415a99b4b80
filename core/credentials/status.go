package credentials

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

// ProviderStatus is what is known of a provider without asking it.
type ProviderStatus struct {
	Provider string         `json:"provider"` // address
	Origin   Origin         `json:"origin"`
	Match    []string       `json:"match"` // empty: everything
	Applier  string         `json:"applier,omitempty"`
	Open     bool           `json:"open"`            // its plugin has an instance of it
	Error    string         `json:"error,omitempty"` // the last thing that failed and has not worked since
	NextTry  time.Time      `json:"next_try,omitzero"`
	Cached   []CachedStatus `json:"cached"`
	Counters
}

// Counters count since the provider came into the chain.
type Counters struct {
	Requests  uint64 `json:"requests"`  // times it was asked, renewals included
	Failures  uint64 `json:"failures"`  // of these, that failed
	Refreshes uint64 `json:"refreshes"` // of these, that renewed a credential ahead of its end
	Refusals  uint64 `json:"refusals"`  // times the registry refused what it gave
}

// CachedStatus is a credential in the cache.
type CachedStatus struct {
	ID         string    `json:"id"`
	Scope      string    `json:"scope"`                // of registry.Scope
	Host       string    `json:"host,omitempty"`       // empty: every host of the provider
	Repository string    `json:"repository,omitempty"` // empty: every repository
	Username   string    `json:"username,omitempty"`
	Received   time.Time `json:"received"`
	Refresh    time.Time `json:"refresh"`             // when it is renewed, if it is used
	ExpiresAt  time.Time `json:"expires_at,omitzero"` // zero: never
	Error      string    `json:"error,omitempty"`     // why it could not be renewed
}

// Outcome is what became of a step of the chain.
type Outcome string

const (
	Answered  Outcome = "answered"  // with a credential
	Anonymous Outcome = "anonymous" // it has nothing for this image
	Failed    Outcome = "failed"    // see Error
	Rejected  Outcome = "refused"   // with a credential that the registry refuses
	NotAsked  Outcome = "not asked" // see Reason
)

// Explanation tells what Credential gives for a request, and why.
type Explanation struct {
	Host       string   `json:"host"`
	Repository string   `json:"repository"`
	Consumer   Consumer `json:"consumer,omitzero"`
	Provider   string   `json:"provider,omitempty"` // who wins; empty: nobody
	ID         string   `json:"id,omitempty"`       // the identity that scans are made with
	Anonymous  bool     `json:"anonymous"`          // nobody has anything, and nobody failed
	Error      string   `json:"error,omitempty"`    // what Credential fails with
	Advice     string   `json:"advice,omitempty"`   // what to do, for a person
	Chain      []Step   `json:"chain"`              // every provider, in order
}

// Step is one provider of the chain.
type Step struct {
	Provider  string    `json:"provider"` // address
	Origin    Origin    `json:"origin"`
	Match     []string  `json:"match"`            // its patterns; empty: everything
	Reason    string    `json:"reason,omitempty"` // why it was not asked, or has nothing
	Outcome   Outcome   `json:"outcome"`
	Wins      bool      `json:"wins"`            // its credential is used
	Cached    bool      `json:"cached"`          // the outcome was known, and it was not asked now
	Scope     string    `json:"scope,omitempty"` // of registry.Scope
	ID        string    `json:"id,omitempty"`    //
	Username  string    `json:"username,omitempty"`
	ExpiresAt time.Time `json:"expires_at,omitzero"` // zero: never
	NextTry   time.Time `json:"next_try,omitzero"`   // it is not asked again before
	Error     string    `json:"error,omitempty"`
}

// Metrics is a snapshot for the exposition of metrics.
type Metrics struct {
	Providers []ProviderMetrics
}

// ProviderMetrics are the figures of one provider.
type ProviderMetrics struct {
	Provider string // address
	Counters
	Cached int // credentials
	// Expiry is the time to the end of the credential that ends first,
	// negative only if none is cached that ends.
	Expiry time.Duration
}

// status is what List tells.
func (s *issuer) status() ProviderStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	p := s.provider
	status := ProviderStatus{
		Provider: p.Address, Origin: p.Origin, Match: p.Match, Applier: p.Applier,
		Open: s.instance != nil, Cached: []CachedStatus{}, Counters: s.counters,
	}
	var latest time.Time
	for _, a := range s.answers {
		if a.alive(now) {
			status.Cached = append(status.Cached, a.status())
		}
		if a.err != nil && !errors.Is(a.err, registry.ErrAnonymous) && a.until.After(latest) {
			latest = a.until
			status.Error, status.NextTry = a.err.Error(), a.until
		}
	}
	for _, r := range s.refusals {
		if !r.until.IsZero() && status.Error == "" {
			status.Error, status.NextTry = r.err.Error(), r.until
		}
	}
	if s.openErr != nil {
		status.Error, status.NextTry = s.openErr.Error(), s.openTill
	}
	slices.SortFunc(status.Cached, func(a, b CachedStatus) int { return cmp.Compare(a.ID, b.ID) })
	return status
}

func (a *answer) status() CachedStatus {
	c := CachedStatus{
		ID: a.grant.credential.ID, Scope: string(a.key.scope), Host: a.key.host, Repository: a.key.repository,
		Username: a.grant.value.username, Received: a.received, Refresh: a.refresh, ExpiresAt: a.expires,
	}
	if a.err != nil {
		c.Error = a.err.Error()
	}
	return c
}
