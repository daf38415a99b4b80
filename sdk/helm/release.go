package helm

import (
	"time"

	"github.com/sluice-gitops/sluice/sdk/secret"
)

// ReleaseRef names a release.
type ReleaseRef struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// Release is the desired state of one release.
type Release struct {
	Ref         ReleaseRef
	Chart       string        // directory with the chart's files
	Values      secret.Secret // merged values as a JSON object; they may hold secrets
	ReuseValues bool          // put Values over those of the newest revision

	Timeout      time.Duration // of the waits and of each hook; zero: 5 minutes
	Wait         Wait
	WaitForJobs  bool
	DisableHooks bool
	Atomic       bool // roll back a failed upgrade, uninstall a failed install
	MaxHistory   int  // revisions to keep; zero: all
	CRDs         CRDs

	Force           bool // replace objects rather than change them
	TakeOwnership   bool // take over objects that are not the release's
	CreateNamespace bool
	SkipSchema      bool // do not check values against the chart's schema
	SkipOpenAPI     bool // do not check objects against the target's schema

	Owner  string // who declares the release, as a Kubernetes label value
	Digest string // of everything that the release is made from, as a label value
	Adopt  bool   // take over a release that is not Owner's
}

// Wait tells what an operation waits for.
type Wait string

const (
	WaitHooks Wait = ""      // for hooks only
	WaitReady Wait = "ready" // until all objects are ready, by watching them
	WaitPoll  Wait = "poll"  // the same, by Helm 3's rules and by asking again and again
)

// CRDs tells what becomes of the definitions in a chart's crds/.
type CRDs string

const (
	CRDsCreate  CRDs = ""        // missing ones are created, also by an upgrade
	CRDsReplace CRDs = "replace" // and others brought up to date
	CRDsSkip    CRDs = "skip"
)

// Rollback is a return to an earlier revision.
type Rollback struct {
	Ref          ReleaseRef
	To           int // number of the revision; zero: the newest deployed one before the present
	Timeout      time.Duration
	Wait         Wait
	WaitForJobs  bool
	DisableHooks bool
	Force        bool
	MaxHistory   int
}

// Uninstall is the end of a release.
type Uninstall struct {
	Ref          ReleaseRef
	KeepHistory  bool // or else every trace of it is removed
	Timeout      time.Duration
	Wait         bool // until the objects are gone
	DisableHooks bool
	// Owner, if set, must be the release's, or the release is ErrOwned.
	Owner string
}

// Test is a run of a release's tests.
type Test struct {
	Ref     ReleaseRef
	Timeout time.Duration // of each
	Names   []string      // only these hooks; empty: all
	Cleanup bool          // delete their pods afterwards
}

// Comparison tells what to compare.
type Comparison struct {
	Ref     ReleaseRef
	Correct bool
	Ignore  []Ignore
	Fresh   bool // look at every object, also if nothing seems to have changed
}

// Ignore leaves out objects, or fields of them, which keep the values they have
// when others of the object are corrected. Empty fields match everything.
type Ignore struct {
	Kind      string
	Name      string
	Namespace string
	Paths     []string // JSON pointers; empty: the whole object
}

// Rendered is a rendered release.
type Rendered struct {
	Notes  string `json:"notes,omitempty"`
	Digest string `json:"digest"` // sha256:... of the manifest, without hooks
	Chart  string `json:"chart"`  // name-version
}

// Change is one difference between the release and what an upgrade would make.
type Change struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	Action    string `json:"action"`         // create, update, delete
	Diff      string `json:"diff,omitempty"` // unified, secrets masked
	Hook      bool   `json:"hook,omitempty"`
	Problem   string `json:"problem,omitempty"` // why the change could not be made
}

// Event is progress of a long operation.
type Event struct {
	Time    time.Time `json:"time,omitzero"`
	Message string    `json:"message"`
	Object  string    `json:"object,omitempty"` // kind/name, if about one
	Failed  bool      `json:"failed,omitempty"`
}

// Revision is one entry of a release's history.
type Revision struct {
	Number     int       `json:"number"`
	Status     string    `json:"status"`          // deployed, failed, superseded, pending-install, ...
	Chart      string    `json:"chart,omitempty"` // name-version
	AppVersion string    `json:"app_version,omitempty"`
	Updated    time.Time `json:"updated,omitzero"`
	Message    string    `json:"message,omitempty"`
	Tests      string    `json:"tests,omitempty"` // "passed", "failed", or empty if none ran
	Owner      string    `json:"owner,omitempty"` // Release.Owner of the last one that declared it
	// Digest is Release.Digest of the Upgrade that made exactly this revision;
	// empty if something else did, such as the helm command or a rollback.
	Digest string `json:"digest,omitempty"`
}

// Content is what a revision was made of.
type Content struct {
	Revision Revision
	Values   secret.Secret // as given, JSON
	Computed secret.Secret // with the chart's own, JSON
	Manifest secret.Secret // YAML, without hooks
	Hooks    secret.Secret // YAML
	Notes    string
}
