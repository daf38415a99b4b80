// Package jobs is what people ask to be changed in git: the requests, the jobs
// that come of them, and the book that keeps the jobs over restarts.
//
// A job becomes a plan, which is on disk before any of it is done, then changes
// of the commit queue, and then an outcome for each of these. Who plans and
// submits is the business of package updates; here is what is remembered, and
// what an outcome makes of a job.
package jobs

import (
	"time"

	"github.com/sluice-gitops/sluice/core/images/update"
)

// ReleaseRequest asks for images of workloads to be changed in git.
type ReleaseRequest struct {
	Spec      update.Spec `json:"spec"`
	Namespace string      `json:"namespace,omitempty"` // of workloads that name none
	DryRun    bool        `json:"dry_run,omitempty"`   // tell what would be done, and do nothing
	Message   string      `json:"message,omitempty"`   // of the commit, in place of the default words
	User      string      `json:"user,omitempty"`      // who asks: "Name <mail>"

	// Timeout bounds, in nanoseconds, how long registries are asked for what is
	// not known of the images; then it is decided on what there is. 0: 2 minutes.
	Timeout time.Duration `json:"timeout,omitempty"`
}

// PolicyRequest asks for the policies of workloads, which are annotations of
// their manifests, to be changed in git.
type PolicyRequest struct {
	Workloads []string            `json:"workloads"`
	Namespace string              `json:"namespace,omitempty"` // of workloads that name none
	Change    update.PolicyChange `json:"change"`
	DryRun    bool                `json:"dry_run,omitempty"`
	Message   string              `json:"message,omitempty"`
	User      string              `json:"user,omitempty"`
}

// Kinds of jobs.
const (
	Release = "release"
	Policy  = "policy"
)

// States of a job: it has not begun, its changes are on their way, and how it
// ended.
const (
	Queued    = "queued"
	Running   = "running"
	Succeeded = "succeeded"
	Failed    = "failed"
)

// Job is a change of git that somebody asked for. It survives a restart.
type Job struct {
	ID       string          `json:"id"` // empty for a dry run
	Kind     string          `json:"kind"`
	Asked    string          `json:"asked"` // in words: "release web:1.2 to shop:deployment/web"
	State    string          `json:"state"`
	Waiting  string          `json:"waiting,omitempty"` // what it waits for, until it has ended
	Error    string          `json:"error,omitempty"`   // why it failed, or what of it did
	Named    []string        `json:"named,omitempty"`   // ids of the workloads that it was asked for by name
	Results  []update.Result `json:"results"`           // by workload, ordered by id
	Commits  []Commit        `json:"commits"`           // what it has brought into git
	User     string          `json:"user,omitempty"`
	Message  string          `json:"message,omitempty"`
	DryRun   bool            `json:"dry_run,omitempty"`
	Created  time.Time       `json:"created"`
	Finished time.Time       `json:"finished,omitzero"`
}

// Ended reports whether nothing more will come of j but the applying of its
// commits.
func (j Job) Ended() bool { return j.State == Succeeded || j.State == Failed }

// Commit is a revision that holds changes of a job, perhaps beside others.
type Commit struct {
	Source   string   `json:"source"`
	Revision string   `json:"revision"`
	Branch   string   `json:"branch,omitempty"` // empty: the one that is read
	Applied  bool     `json:"applied"`          // all of Syncs have applied it, or a later one
	Syncs    []string `json:"syncs"`            // that it concerns
}
