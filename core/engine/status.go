package engine

import (
	"time"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/core/updates"
)

// State of a node. Each comes with a reason that a person can read.
type State string

const (
	Ready     State = "ready"     // as desired
	Running   State = "running"   // at work
	Waiting   State = "waiting"   // for the target (objects to become ready) or for a person (an approval)
	Failed    State = "failed"    // will try again by itself: see NextAttempt
	Suspended State = "suspended" // stopped by a person: see Suspension
	Blocked   State = "blocked"   // by another node: see Unblock
)

// Status is the state of everything the daemon runs, ordered by ID.
type Status struct {
	Nodes []Node `json:"nodes"`

	// Config is there if the configuration on disk is not what runs: it was
	// refused, or a part of it needs a restart.
	Config *ConfigStatus `json:"config,omitempty"`

	// Pending are the commits that have not reached their repositories yet.
	Pending []updates.PendingCommit `json:"pending_commits,omitempty"`
}

// Node is one declaration of the configuration and how it fares. The first
// seven fields are always present.
type Node struct {
	ID       string    `json:"id"` // the declaration's address: source.git.shop, sync.shop
	State    State     `json:"state"`
	Reason   string    `json:"reason"`
	Revision string    `json:"revision"` // of a source: the newest; of a sync: the one last applied
	Since    time.Time `json:"since"`    // when it entered this state
	Objects  int       `json:"objects"`  // of a sync: that it wants
	Failed   int       `json:"failed"`   // of a sync: objects and files that failed

	Ref         string      `json:"ref,omitempty"`         // the branch or tag of Revision
	Message     string      `json:"message,omitempty"`     // first line of the revision's description
	Unblock     string      `json:"unblock,omitempty"`     // what would end this state
	Failures    int         `json:"failures,omitempty"`    // consecutive failed attempts
	NextAttempt time.Time   `json:"next_attempt,omitzero"` // when it runs next by itself
	LastRun     time.Time   `json:"last_run,omitzero"`     // when it last finished, well or not
	LastReady   time.Time   `json:"last_ready,omitzero"`   // when it was last ready
	DependsOn   []string    `json:"depends_on,omitempty"`  // ids this node needs, its source and applier included
	Approval    string      `json:"approval,omitempty"`    // digest of the plan that waits for approval
	Suspension  *Suspension `json:"suspension,omitempty"`  // while suspended
	Declared    string      `json:"declared,omitempty"`    // file:line:column of the block

	// Problems are what a plugin reports about its configuration, by their
	// place in the user's files. A ready node may have warnings.
	Problems []rollout.Problem `json:"problems,omitempty"`
}

// Suspension says who stopped a node, why, and until when.
type Suspension struct {
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero"`   // zero: until somebody resumes it
	Config bool      `json:"config,omitempty"` // by `suspend = true` in the configuration, which only an edit ends
}

// Detail is a Node with the report of its last run.
type Detail struct {
	Node    Node            `json:"node"`
	Report  *rollout.Report `json:"report,omitempty"`  // of a sync that has run
	Release *release.Report `json:"release,omitempty"` // of a release that has run
}

// Explanation is the answer of Why: who is responsible for what was asked
// about, and what holds it back.
type Explanation struct {
	Target string           `json:"target"`
	Lines  []string         `json:"lines"` // sentences in the order in which they explain each other
	Node   *Node            `json:"node,omitempty"`
	Object *rollout.Object  `json:"object,omitempty"` // of one that no sync has, only Ref
	Others []rollout.Object `json:"others,omitempty"` // when the target matches several objects

	// Release is the Helm release that Object belongs to, if no sync has it. Node
	// is its node, nil if nobody declares the release.
	Release *HelmRelease `json:"release,omitempty"`
}

// ConfigStatus is the configuration the daemon runs and what came of the last
// attempt to read it.
type ConfigStatus struct {
	Paths    []string          `json:"paths"`
	Loaded   time.Time         `json:"loaded"`             // when the running configuration was read
	Tried    time.Time         `json:"tried"`              // when it was last read, well or not
	OK       bool              `json:"ok"`                 // the last attempt became the running configuration
	Problems []rollout.Problem `json:"problems,omitempty"` // of the last attempt
}

// SyncRequest asks for syncs to run now.
type SyncRequest struct {
	Names []string `json:"names"` // sync names or node ids; empty: all
	By    string   `json:"by,omitempty"`
}

// SuspendRequest stops a source or a sync until it is resumed or Until comes.
type SuspendRequest struct {
	Names  []string  `json:"names"`
	By     string    `json:"by"`
	Reason string    `json:"reason,omitempty"`
	Until  time.Time `json:"until,omitzero"`
}

// ResumeRequest ends a suspension.
type ResumeRequest struct {
	Names []string `json:"names"`
	By    string   `json:"by"`
}

// ApproveRequest allows the pruning that a sync waits for. An empty Digest
// approves what waits now.
type ApproveRequest struct {
	Name   string `json:"name"`
	Digest string `json:"digest,omitempty"`
	By     string `json:"by"`
}

// Progress is one step of work on a node, for people who wait for it.
type Progress struct {
	Node string `json:"node"`
	rollout.Progress
}
