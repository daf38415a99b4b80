// Package api is how other processes talk to the daemon: HTTP with JSON on a
// unix socket that only the daemon's user can open.
//
//	GET  /v1/status            {"nodes":[...]}
//	GET  /v1/status/{id}       one node with the report of its last run
//	POST /v1/sync              run now; with "wait" a stream of progress, then the result
//	POST /v1/suspend           POST /v1/resume   POST /v1/approve
//	GET  /v1/why               ?target=&namespace=
//	GET  /v1/events            ?since=&limit=&node=&follow=  one event a line
//	GET  /v1/workloads         ?namespace=&applier=  what runs
//	POST /v1/images            what the registries have: a stream of progress, then the answer
//	GET  /v1/images/scans      GET /v1/images/budget  GET /v1/images/cache
//	POST /v1/images/cache/clear
//	GET  /v1/credentials       POST /v1/credentials/explain
//	POST /v1/release           change images in git: a job; with "dry_run" what it would do
//	POST /v1/policy            change policies in git: a job, or a dry run
//	GET  /v1/jobs              what was asked for, newest first
//	GET  /v1/jobs/{id}         one, by the beginning of its id; with ?wait=commit or ?wait=applied a stream: it now, then as it has become
//	GET  /v1/images/why        ?workload=&namespace=&container=&timeout=  each tag with the rule that took or refused it
//	GET  /v1/quarantine        DELETE /v1/quarantine  ?image=&by=
//	GET  /v1/helm/releases     ?namespace=&applier=&all=  with all those, too, that nobody declares
//	GET  /v1/helm/status       ?name=  GET /v1/helm/history  GET /v1/helm/diff  of one release
//	GET  /v1/helm/values       ?name=&revision=&all=&declared=&show_secrets=
//	GET  /v1/helm/template     ?name=&show_secrets=  a stream: the YAML in pieces
//	POST /v1/helm/operate      roll back, test or uninstall: a stream of progress, then the outcome
//	GET  /v1/plugins           POST /v1/reload   GET /v1/config   GET /v1/version
//	GET  /healthz  /readyz     plain text
//	GET  /metrics              Prometheus text
//
// Streams are JSON lines. An error is {"error": "...", "code": "..."} with a
// status that fits. The types are those of package engine and of the packages
// that it has them from. Client is the Go side.
package api

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/sluice-gitops/sluice/core/available"
	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/engine"
	"github.com/sluice-gitops/sluice/core/event"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/cache"
	"github.com/sluice-gitops/sluice/core/images/gate"
	"github.com/sluice-gitops/sluice/core/images/limit"
	"github.com/sluice-gitops/sluice/core/pluginhost"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/byhand"
	"github.com/sluice-gitops/sluice/core/updates"
	"github.com/sluice-gitops/sluice/core/updates/jobs"
	"github.com/sluice-gitops/sluice/core/workload"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// Engine is what the API serves: *engine.Engine.
type Engine interface {
	Alive() bool
	Status() engine.Status
	Node(name string) (engine.Detail, error)
	Sync(ctx context.Context, req engine.SyncRequest) ([]string, error)
	SyncAndWait(ctx context.Context, req engine.SyncRequest, progress func(engine.Progress)) ([]engine.Detail, error)
	Suspend(ctx context.Context, req engine.SuspendRequest) ([]string, error)
	Resume(ctx context.Context, req engine.ResumeRequest) ([]string, error)
	Approve(ctx context.Context, req engine.ApproveRequest) (string, error)
	Why(ctx context.Context, target, namespace string) (engine.Explanation, error)
	Events(ctx context.Context, q engine.EventQuery, fn func(event.Event) error) error
	Plugins() []pluginhost.PluginStatus
	ConfigStatus() engine.ConfigStatus
	Reload(ctx context.Context) (engine.ConfigStatus, error)

	Workloads(ctx context.Context, req workload.Request) (workload.Answer, error)
	Images(ctx context.Context, req available.Request, progress func(available.Progress)) (available.Answer, error)
	ImageScans() []images.RepositoryStatus
	ImageBudget() []limit.Budget
	ImageCache() (cache.Stats, error)
	ClearImageCache(repositories string) (cache.Stats, error)
	ImageMetrics() images.Metrics
	Credentials() []credentials.ProviderStatus
	CredentialMetrics() credentials.Metrics
	ExplainCredential(ctx context.Context, req engine.CredentialRequest) (credentials.Explanation, error)

	Release(ctx context.Context, req jobs.ReleaseRequest) (jobs.Job, error)
	Policy(ctx context.Context, req jobs.PolicyRequest) (jobs.Job, error)
	Job(id string) (jobs.Job, error)
	Jobs() []jobs.Job
	WaitJob(ctx context.Context, id string, applied bool) (jobs.Job, error)
	WhyImages(ctx context.Context, req updates.WhyImagesRequest) ([]updates.WhyImage, error)
	UpdateMetrics() updates.Metrics
	Quarantined() []gate.Quarantine
	Unquarantine(ctx context.Context, req updates.UnquarantineRequest) ([]gate.Quarantine, error)

	HelmReleases(ctx context.Context, req engine.HelmListRequest) (engine.HelmListAnswer, error)
	HelmStatus(ctx context.Context, name string) (engine.HelmDetail, error)
	HelmHistory(ctx context.Context, name string) ([]helm.Revision, error)
	HelmDiff(ctx context.Context, name string) (release.Plan, error)
	HelmValues(ctx context.Context, req engine.HelmValuesRequest) (engine.HelmValues, error)
	HelmTemplate(ctx context.Context, name string, w io.Writer) error
	HelmOperate(ctx context.Context, op byhand.Operation, progress func(release.Progress)) (engine.HelmOutcome, error)
	HelmMetrics() engine.HelmMetrics
}

var _ Engine = (*engine.Engine)(nil)

// EventQuery selects events.
type EventQuery = engine.EventQuery

// syncRequest is the body of POST /v1/sync.
type syncRequest struct {
	engine.SyncRequest
	Wait bool `json:"wait,omitempty"`
}

// syncLine is a line of the answer to a sync that is waited for. The last one
// has the result or an error.
type syncLine struct {
	Progress *engine.Progress `json:"progress,omitempty"`
	Result   []engine.Detail  `json:"result,omitempty"`
	Done     bool             `json:"done,omitempty"`
	problem
}

// eventLine is a line of /v1/events: an event, or why the stream ended.
type eventLine struct {
	*event.Event
	problem
}

type idsAnswer struct {
	Nodes []string `json:"nodes"`
}

type approveAnswer struct {
	Digest string `json:"digest"`
}

type pluginsAnswer struct {
	Plugins []pluginhost.PluginStatus `json:"plugins"`
}

type versionAnswer struct {
	Version string `json:"version"`
}

// problem is an error on the wire.
type problem struct {
	Text string `json:"error,omitempty"`
	Code string `json:"code,omitempty"`
}

// codes of errors that a caller can tell apart.
var codes = []struct {
	code   string
	status int
	err    error
}{
	{"not_found", http.StatusNotFound, refusal.ErrNotFound},
	{"invalid", http.StatusBadRequest, refusal.ErrInvalid},
	{"conflict", http.StatusConflict, refusal.ErrConflict},
}

func problemOf(err error) (problem, int) {
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return problem{Text: err.Error(), Code: c.code}, c.status
		}
	}
	return problem{Text: err.Error(), Code: "internal"}, http.StatusInternalServerError
}

// remoteError is a problem that came from the daemon; it matches the sentinel
// that it was there.
type remoteError problem

func (e *remoteError) Error() string { return e.Text }

func (e *remoteError) Is(target error) bool {
	for _, c := range codes {
		if c.err == target {
			return c.code == e.Code
		}
	}
	return false
}
