package images

import (
	"time"

	"github.com/sluice-gitops/sluice/core/images/cache"
)

// RepositoryStatus is how the scans of one repository, as one credential sees
// it, fare.
type RepositoryStatus struct {
	Repository string        `json:"repository"`
	Credential string        `json:"credential,omitempty"` // its ID; empty is anonymous
	Targets    int           `json:"targets"`
	Tags       int           `json:"tags"`
	Scanned    time.Time     `json:"scanned,omitzero"`
	Changed    time.Time     `json:"changed,omitzero"`
	Next       time.Time     `json:"next,omitzero"`
	Interval   time.Duration `json:"interval"` // that counts now, see decay
	Scanning   bool          `json:"scanning,omitempty"`
	Native     bool          `json:"native,omitempty"`
	Missing    int           `json:"missing,omitempty"`  // images that policies need
	Suspects   int           `json:"suspects,omitempty"` // tags
	Failures   int           `json:"failures,omitempty"` // scans in a row
	Failing    time.Time     `json:"failing,omitzero"`   // since when
	Problem    Problem       `json:"problem,omitempty"`
	Error      string        `json:"error,omitempty"`
	Warning    string        `json:"warning,omitempty"`

	Key cache.Key `json:"-"`
}

// Problem is the kind of a failure.
type Problem string

const (
	NoCredential Problem = "credential"   // the broker has none to give
	Unauthorized Problem = "unauthorized" // the registry refuses it: 401, 403
	NotFound     Problem = "not-found"    // no such repository
	Throttled    Problem = "throttled"    // 429
	Unreachable  Problem = "unreachable"  // network, 5xx, cut answers, anything else
)

// Metrics are figures of a Scanner since it began, for each registry host.
type Metrics struct {
	Hosts map[string]HostMetrics `json:"hosts"`
}

// HostMetrics are the figures of one registry host.
type HostMetrics struct {
	Repositories int           `json:"repositories"` // that are scanned
	Scans        uint64        `json:"scans"`        // complete listings
	Failures     uint64        `json:"failures"`     // listings that failed
	Images       uint64        `json:"images"`       // read
	Digests      uint64        `json:"digests"`      // asked for by HEAD
	Due          int           `json:"due"`          // repositories that wait for a worker
	Lag          time.Duration `json:"lag"`          // how long the first of them has waited
}
