package resource

import (
	"bytes"
	"encoding/json"
	"slices"
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

	// Suspended is set while a person has suspended the release by command.
	Suspended *Suspension `json:"suspended,omitempty"`

	// run is the phase that the run under way has come to.
	run release.Phase
}

// Suspension is who stopped a release, and why.
type Suspension struct {
	By     string    `json:"by,omitempty"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since,omitzero"`
	Until  time.Time `json:"until,omitzero"`
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

// parseStatus reads a status. What is not as it should be is left out, and
// written anew some time.
func parseStatus(raw json.RawMessage) (s Status) {
	_ = json.Unmarshal(raw, &s) // goes on after a field of another type
	return s
}

// Patch returns the JSON merge patch that makes before into after, both of them
// a resource's .status. changed is false if there is nothing to write.
func Patch(before, after Status) (patch json.RawMessage, changed bool) {
	was, is := before.parts(), after.parts()
	diff := map[string]json.RawMessage{}
	for name, part := range is {
		if !bytes.Equal(part, was[name]) {
			diff[name] = part
		}
	}
	for name := range was {
		if is[name] == nil {
			diff[name] = json.RawMessage("null")
		}
	}
	if len(diff) == 0 {
		return nil, false
	}
	return encode(diff), true
}

// parts is the status, field by field.
func (s Status) parts() map[string]json.RawMessage {
	parts := map[string]json.RawMessage{}
	if err := json.Unmarshal(encode(s), &parts); err != nil {
		panic("resource: " + err.Error())
	}
	return parts
}

// encode marshals what always can be marshalled.
func encode(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic("resource: " + err.Error())
	}
	return text
}

// set makes a condition say what it should. Its times change only with what it
// says, so that saying it again is no change.
func (s *Status) set(t ConditionType, status ConditionStatus, reason release.Phase, message string, now time.Time) {
	stamp := now.UTC().Format(time.RFC3339)
	next := Condition{Type: t, Status: status, Reason: string(reason), Message: cut(message, maxMessage), LastUpdateTime: stamp, LastTransitionTime: stamp}
	// The list is shared with the Status that this one was copied from.
	s.Conditions = slices.Clone(s.Conditions)
	i := slices.IndexFunc(s.Conditions, func(c Condition) bool { return c.Type == t })
	if i < 0 {
		s.Conditions = append(s.Conditions, next)
		return
	}
	old := s.Conditions[i]
	if old.Status == status {
		next.LastTransitionTime = old.LastTransitionTime
		if old.Reason == next.Reason && old.Message == next.Message {
			next.LastUpdateTime = old.LastUpdateTime
		}
	}
	s.Conditions[i] = next
}

// get returns a condition, a zero one if it is not there.
func (s *Status) get(t ConditionType) Condition {
	for _, c := range s.Conditions {
		if c.Type == t {
			return c
		}
	}
	return Condition{}
}

func (s *Status) clear(t ConditionType) {
	s.Conditions = slices.DeleteFunc(slices.Clone(s.Conditions), func(c Condition) bool { return c.Type == t })
}
