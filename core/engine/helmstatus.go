package engine

import (
	"time"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/resource"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// HelmListRequest narrows what is listed; empty fields match everything.
type HelmListRequest struct {
	Namespace string `json:"namespace,omitempty"`
	Applier   string `json:"applier,omitempty"` // address
	All       bool   `json:"all,omitempty"`     // also those that nobody declares
}

// HelmListAnswer is the releases, ordered by applier, namespace and name, and
// why some may be missing.
type HelmListAnswer struct {
	Releases []HelmRelease `json:"releases"`
	Problems []string      `json:"problems,omitempty"` // helms that did not answer
}

// HelmRelease is one Helm release: what the daemon knows of it if it is
// declared, else what its record in the cluster tells.
type HelmRelease struct {
	ID        string `json:"id,omitempty"` // of the node; empty: nobody declares it
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Applier   string `json:"applier"`            // address
	Owner     string `json:"owner,omitempty"`    // label of who declared what runs
	Declared  string `json:"declared,omitempty"` // file:line:column of the block, or "HelmRelease demo/ghost"

	State   State         `json:"state,omitempty"`         // of the node
	Release release.State `json:"release_state,omitempty"` // that the last run found or made
	Reason  string        `json:"reason,omitempty"`
	Unblock string        `json:"unblock,omitempty"`

	Chart        string `json:"chart,omitempty"` // name
	ChartVersion string `json:"chart_version,omitempty"`
	AppVersion   string `json:"app_version,omitempty"`
	ChartDigest  string `json:"chart_digest,omitempty"`
	ChartFrom    string `json:"chart_from,omitempty"` // URL of the repository, or source.git.x charts/ghost@1a2b3c4

	Revision    int         `json:"revision,omitempty"`
	Status      string      `json:"status,omitempty"` // deployed, failed, pending-upgrade, ...
	Tests       string      `json:"tests,omitempty"`  // "passed", "failed", or empty if none ran
	Updated     time.Time   `json:"updated,omitzero"`
	NextAttempt time.Time   `json:"next_attempt,omitzero"`
	Suspension  *Suspension `json:"suspension,omitempty"`
}

// HelmDetail is a declared release with what its last run has done.
type HelmDetail struct {
	HelmRelease
	Node       Node                 `json:"node"`
	Report     *release.Report      `json:"report,omitempty"` // nil before the first run
	Notes      string               `json:"notes,omitempty"`  // of the chart, for people
	DependsOn  []string             `json:"depends_on,omitempty"`
	Conditions []resource.Condition `json:"conditions,omitempty"` // of a custom resource
	Warnings   []string             `json:"warnings,omitempty"`   // about what that declares, such as a field that does not exist
}

// HelmValuesRequest asks for the values of a release.
type HelmValuesRequest struct {
	Name     string `json:"name"`
	Revision int    `json:"revision,omitempty"` // zero: the newest
	All      bool   `json:"all,omitempty"`      // with the chart's own
	Declared bool   `json:"declared,omitempty"` // composed from the declaration, whatever is installed
}

// HelmValues are values of a release. They may hold secrets: whoever shows them
// masks those.
type HelmValues struct {
	Values   secret.Secret `json:"-"` // a JSON object
	Secrets  []string      `json:"-"` // JSON pointers of what came from secrets; where nobody knows, "": all of it
	Revision int           `json:"revision,omitempty"`
}

// HelmOutcome is what came of a byhand.Operation.
type HelmOutcome struct {
	HelmDetail
	Done    string        `json:"done"` // "rolled back to revision 3"
	DryRun  bool          `json:"dry_run,omitempty"`
	Changes []helm.Change `json:"changes,omitempty"` // of a dry run
}

// HelmMetrics are figures about releases. They cost no request.
type HelmMetrics struct {
	Releases   []HelmRelease
	Operations map[release.Count]uint64
}
