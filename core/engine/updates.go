package engine

import (
	"time"

	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/gate"
	"github.com/sluice-gitops/sluice/core/images/policy"
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
	JobRelease = "release"
	JobPolicy  = "policy"
)

// States of a job: it has not begun, its changes are on their way, and how it
// ended.
const (
	JobQueued    = "queued"
	JobRunning   = "running"
	JobSucceeded = "succeeded"
	JobFailed    = "failed"
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
func (j Job) Ended() bool { return j.State == JobSucceeded || j.State == JobFailed }

// Commit is a revision that holds changes of a job, perhaps beside others.
type Commit struct {
	Source   string   `json:"source"`
	Revision string   `json:"revision"`
	Branch   string   `json:"branch,omitempty"` // empty: the one that is read
	Applied  bool     `json:"applied"`          // all of Syncs have applied it, or a later one
	Syncs    []string `json:"syncs"`            // that it concerns
}

// PendingCommit is a commit that has not been made yet: it is about to be, or
// could not be pushed and will be tried again.
type PendingCommit struct {
	Source      string    `json:"source"`
	Branch      string    `json:"branch,omitempty"` // empty: the one that is read
	Changes     int       `json:"changes"`
	Since       time.Time `json:"since"` // of the oldest change
	Error       string    `json:"error,omitempty"`
	NextAttempt time.Time `json:"next_attempt,omitzero"`
}

// WhyImagesRequest asks why the images of a workload are what they are.
type WhyImagesRequest struct {
	Workload  string `json:"workload"`
	Namespace string `json:"namespace,omitempty"` // of a workload that names none
	Container string `json:"container,omitempty"` // empty: all

	// Timeout bounds, in nanoseconds, how long registries are asked for what is
	// not known. 0: 2 minutes.
	Timeout time.Duration `json:"timeout,omitempty"`
}

// WhyImage tells of one container which tags may replace its image, and what
// holds them back.
type WhyImage struct {
	Workload  string           `json:"workload"`
	Container string           `json:"container"`
	Image     string           `json:"image"`             // in git; empty: it is not there
	Running   string           `json:"running,omitempty"` // in the cluster; empty: it is not there
	Applier   string           `json:"applier,omitempty"`
	Sync      string           `json:"sync,omitempty"`
	File      string           `json:"file,omitempty"`
	Line      int              `json:"line,omitempty"`
	Policy    string           `json:"policy,omitempty"` // the pattern
	Source    string           `json:"source,omitempty"` // where the policy comes from
	Automated bool             `json:"automated"`
	Blocked   string           `json:"blocked,omitempty"` // why Target is not written just now
	Selection policy.Selection `json:"selection"`
	Target    string           `json:"target,omitempty"` // what would be written; empty: nothing
	View      *images.View     `json:"view,omitempty"`
}

// Quarantine keeps an image from being rolled out by automation.
type Quarantine = gate.Quarantine

// UnquarantineRequest lifts the quarantine of a tag.
type UnquarantineRequest struct {
	Image string `json:"image"` // name:tag, or name for all tags of it
	By    string `json:"by,omitempty"`
}
