package limit

import (
	"cmp"
	"slices"
	"time"
)

// Budget is the state of one lane, for people.
type Budget struct {
	Host     string `json:"host"`
	Identity string `json:"identity,omitempty"` // ID of the credential, "" for anonymous

	RPS     float64 `json:"rps"`     // what the lane may do now
	Ceiling float64 `json:"ceiling"` // configured for the host, all its lanes together
	Burst   int     `json:"burst"`

	BlockedUntil time.Time `json:"blocked_until,omitzero"` // nothing is sent before
	Why          string    `json:"why,omitempty"`          // what the lane waits for, or why it is slow
	Quota        *Quota    `json:"quota,omitempty"`        // nil: the registry announced none

	Waiting   int    `json:"waiting"`   // requests that wait now
	Requests  uint64 `json:"requests"`  // let through since the start
	Throttled uint64 `json:"throttled"` // of these, refused with 429 or 503
}

// Quota is what the registry said to be left of a number of requests.
type Quota struct {
	Limit     int       `json:"limit"`
	Remaining int       `json:"remaining"`
	Reserved  int       `json:"reserved"` // left to others
	Reset     time.Time `json:"reset"`    // when it is full again, at the latest
}

// Budgets returns the state of every lane, by host and identity.
func (l *Limiter) Budgets() []Budget {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	all := make([]Budget, 0, len(l.lanes))
	for _, ln := range l.lanes {
		all = append(all, ln.budget(now, l.ceiling(ln.key.Host)))
	}
	slices.SortFunc(all, func(a, b Budget) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Identity, b.Identity))
	})
	return all
}
