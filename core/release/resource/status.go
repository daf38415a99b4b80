package resource

import (
	"encoding/json"
	"time"

	"github.com/sluice-gitops/sluice/core/release"
)

// Status is the status of a resource. The fields down to Conditions are those
// of the Helm operator, with its words; the others are Sluice's own.
type Status struct {
	ObservedGeneration    int64         `json:"observedGeneration,omitempty"`
	Phase                 release.Phase `json:"phase,omitempty"`
	ReleaseName           string        `json:"releaseName,omitempty"`
	ReleaseStatus         string        `json:"releaseStatus,omitempty"`         // of the newest revision, in Helm's words
	Revision              string        `json:"revision,omitempty"`              // of the chart that runs: a commit or a version
	LastAttemptedRevision string        `json:"lastAttemptedRevision,omitempty"` // of the chart tried last
	RollbackCount         int64         `json:"rollbackCount,omitempty"`
	Conditions            []Condition   `json:"conditions,omitempty"`

	State        release.State `json:"state,omitempty"`
	Chart        string        `json:"chart,omitempty"` // name and version
	ChartDigest  string        `json:"chartDigest,omitempty"`
	HelmRevision int           `json:"helmRevision,omitempty"`
	Drift        []string      `json:"drift,omitempty"`    // objects that are not as declared
	Warnings     []string      `json:"warnings,omitempty"` // about the resource and the release
}

// Condition is one aspect of a Status.
type Condition struct {
	Type               ConditionType   `json:"type"`
	Status             ConditionStatus `json:"status"`
	LastUpdateTime     string          `json:"lastUpdateTime,omitempty"`     // of any change, RFC 3339
	LastTransitionTime string          `json:"lastTransitionTime,omitempty"` // of a change of Status
	Reason             string          `json:"reason,omitempty"`             // a phase
	Message            string          `json:"message,omitempty"`
}

// ConditionType says what a Condition is about.
type ConditionType string

// Those that the Helm operator had. Its definition allows no others.
const (
	ChartFetched ConditionType = "ChartFetched"
	Deployed     ConditionType = "Deployed"
	Released     ConditionType = "Released"
	RolledBack   ConditionType = "RolledBack"
	Tested       ConditionType = "Tested"
)

// ConditionStatus is whether a Condition holds.
type ConditionStatus string

const (
	True    ConditionStatus = "True"
	False   ConditionStatus = "False"
	Unknown ConditionStatus = "Unknown" // not yet
)

// Progressed is before after p. What an applied resource goes through again and
// again without news, such as finding the chart that it has, leaves it as it is.
func (r Resource) Progressed(before Status, p release.Progress, now time.Time) Status {
	return before
}

// Reported is before after a run that ended with rep.
func (r Resource) Reported(before Status, rep release.Report, now time.Time) Status {
	return before
}

// Failed is before after something that kept a run from beginning, such as an
// error of Parse.
func (r Resource) Failed(before Status, err error, now time.Time) Status {
	return before
}

// Patch returns the JSON merge patch that makes before into after, both of them
// a resource's .status. changed is false if there is nothing to write.
func Patch(before, after Status) (patch json.RawMessage, changed bool) {
	return nil, false
}
