// Package update decides what to write: which containers of which workloads
// get which image, because a person asked for a release or because they are
// automated, and which annotations change with a policy. It reads and writes
// nothing; who calls it has looked at git, the cluster and the registry, and
// puts the results into commits.
//
// Each workload gets a Result with a Status and, unless it is a plain success,
// a Reason; the words are those of Flux v1, so that scripts go on. What Flux
// did not say stands in Detail: which container could not be judged, and why. A
// container that cannot be judged hurts only itself.
package update

import (
	"github.com/sluice-gitops/sluice/core/images/ref"
)

// Spec is what a release asks for. It is one of three: Image, AllImages, or
// Containers, the exact list that a person has chosen from a dry run.
type Spec struct {
	Workloads []string `json:"workloads,omitempty"` // IDs, "namespace:kind/name"; none with All
	All       bool     `json:"all,omitempty"`
	Exclude   []string `json:"exclude,omitempty"` // IDs

	Image     string `json:"image,omitempty"` // every container of its repository gets this reference
	AllImages bool   `json:"all_images,omitempty"`

	// Containers are swaps by workload. A Swap without Current takes whatever
	// stands there. Any that cannot be made fails the whole release.
	Containers map[string][]Swap `json:"containers,omitempty"`
	// SkipMismatches leaves out a container whose Current is another by now,
	// instead of failing.
	SkipMismatches bool `json:"skip_mismatches,omitempty"`

	// Force releases what is locked or ignored if it is named in Workloads or
	// Containers, and with Image what the container's pattern refuses.
	Force bool `json:"force,omitempty"`
}

// Swap is another image for a container, references as written.
type Swap struct {
	Container string `json:"container"`
	Current   string `json:"current"`
	Target    string `json:"target"`
}

// Status says what becomes of a workload.
type Status string

const (
	Success Status = "success" // Containers tells what changes
	Failed  Status = "failed"
	Skipped Status = "skipped" // it was meant, and nothing changes
	Ignored Status = "ignored" // it was not meant
	Unknown Status = "unknown"
)

// Reasons of results, in the words of Flux v1.
const (
	ReasonLocked        = "locked"
	ReasonIgnore        = "ignore"
	ReasonNotIncluded   = "not included"
	ReasonExcluded      = "excluded"
	ReasonOtherImage    = "a different image"
	ReasonNotInCluster  = "not accessible in cluster"
	ReasonNotInRepo     = "not found in repository"
	ReasonImageNotFound = "cannot find one or more images"
	ReasonUpToDate      = "image(s) up to date"
	ReasonDoesNotUse    = "does not use image(s)"

	reasonNoContainer = "container(s) not found: "
	reasonMismatch    = "container(s) tag mismatch: "
)

// Result says what becomes of a workload, and why.
type Result struct {
	ID     string `json:"workload"`
	Status Status `json:"status"`
	Reason string `json:"reason,omitempty"` // of a success: what was left out of it
	// Detail is what a person wants to know beyond Reason, such as the
	// container that could not be judged and why.
	Detail string `json:"detail,omitempty"`
	// Warnings are what a person should know even where all is in order.
	Warnings   []string `json:"warnings,omitempty"`
	Containers []Swap   `json:"containers,omitempty"` // of a success, in the order of the manifest
	Sync       string   `json:"sync,omitempty"`       // address
	Source     string   `json:"source,omitempty"`     // address
}

// Why is Reason with Detail, for people.
func (r Result) Why() string {
	switch {
	case r.Reason == "" || r.Detail == "":
		return r.Reason + r.Detail
	case r.Reason == ReasonLocked:
		return r.Reason + " " + r.Detail // by whom
	}
	return r.Reason + ": " + r.Detail
}

// Missed reports whether what somebody asked for of this workload could not be
// done: it failed, or there is no such workload.
func (r Result) Missed() bool {
	return r.Status == Failed || r.Reason == ReasonNotInRepo || r.Reason == ReasonNotInCluster
}

// Lookup tells whether the registry has an image; its digest may be empty if it
// is not known. The error says why it has it not, or why that cannot be told.
type Lookup func(image ref.Ref) (digest string, err error)
