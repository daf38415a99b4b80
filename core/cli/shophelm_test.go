package cli_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/engine"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/byhand"
	"github.com/sluice-gitops/sluice/core/release/resource"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// shopRelease is a release as its node, and the cluster, have it.
type shopRelease struct {
	engine.HelmRelease
	revisions []helm.Revision // newest first
	drift     []helm.Change
}

func newShopReleases() []*shopRelease {
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d - time.Second) }
	revisions := func(owner string, charts ...string) []helm.Revision {
		var list []helm.Revision
		for i, chart := range charts {
			r := helm.Revision{Number: i + 1, Status: "superseded", Chart: chart, AppVersion: "5.0", Updated: ago(time.Duration(len(charts)-i) * time.Hour), Owner: owner, Digest: "d", Message: "Upgrade complete"}
			if i == len(charts)-1 {
				r.Status = "deployed"
			}
			list = append([]helm.Revision{r}, list...)
		}
		return list
	}
	ghost := &shopRelease{
		HelmRelease: engine.HelmRelease{
			ID: "release.ghost", Namespace: "demo", Name: "ghost", Applier: "applier.kubernetes.prod", Owner: "release.ghost", Declared: "releases.hcl:3:1",
			State: engine.Ready, Release: release.InSync, Reason: "ghost-1.2.4 is deployed",
			Chart: "ghost", ChartVersion: "1.2.4", AppVersion: "5.0", ChartDigest: "sha256:9f86d081", ChartFrom: "source.git.platform charts/ghost@1a2b3c4",
			Revision: 3, Status: "deployed", Tests: "passed",
		},
		revisions: revisions("release.ghost", "ghost-1.2.2", "ghost-1.2.3", "ghost-1.2.4"),
	}
	ghost.revisions[0].Tests = "passed"
	redis := &shopRelease{
		HelmRelease: engine.HelmRelease{
			ID: "helmrelease.prod/demo/redis", Namespace: "demo", Name: "redis", Applier: "applier.kubernetes.prod", Owner: "helmrelease_demo_redis", Declared: "HelmRelease demo/redis",
			State: engine.Failed, Release: release.OutOfSync, Reason: "values do not fit the chart's schema:\n- auth.enabled: want a boolean", Unblock: "mend the values",
			Chart: "redis", ChartVersion: "18.0.0", AppVersion: "7.2", ChartFrom: "https://charts.example.com", Revision: 1, Status: "deployed",
		},
		revisions: revisions("helmrelease_demo_redis", "redis-17.0.0"),
		drift:     []helm.Change{{Kind: "Deployment", Namespace: "demo", Name: "redis", Action: "update", Diff: "--- a\n+++ b\n@@ -1,2 +1,2 @@\n spec:\n-  replicas: 5\n+  replicas: 1\n"}},
	}
	traefik := &shopRelease{
		HelmRelease: engine.HelmRelease{Namespace: "kube-system", Name: "traefik", Applier: "applier.kubernetes.prod", Revision: 1, Status: "deployed"},
		revisions:   revisions("", "traefik-25.0.3"),
	}
	return []*shopRelease{ghost, redis, traefik}
}

// seen is r with times that do not depend on when the shop was opened.
func (r *shopRelease) seen() engine.HelmRelease {
	x := r.HelmRelease
	if x.Revision > 0 {
		x.Updated = time.Now().Add(-5*time.Minute - time.Second)
	}
	return x
}

func (s *shop) releaseOf(name string) (*shopRelease, error) {
	for _, r := range s.releases {
		if name == r.Namespace+"/"+r.Name || name == r.ID && name != "" || "release."+name == r.ID {
			return r, nil
		}
	}
	return nil, fmt.Errorf("there is no release %q: %w", name, refusal.ErrNotFound)
}

func (s *shop) HelmReleases(_ context.Context, req engine.HelmListRequest) (engine.HelmListAnswer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer := engine.HelmListAnswer{Releases: []engine.HelmRelease{}}
	for _, r := range s.releases {
		if (r.ID != "" || req.All) && (req.Namespace == "" || req.Namespace == r.Namespace) && (req.Applier == "" || req.Applier == r.Applier) {
			answer.Releases = append(answer.Releases, r.seen())
		}
	}
	if req.Applier == "applier.kubernetes.test" {
		answer.Problems = []string{"helm.helm.test does not answer"}
	}
	return answer, nil
}

func (s *shop) HelmStatus(_ context.Context, name string) (engine.HelmDetail, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.releaseOf(name)
	if err != nil {
		return engine.HelmDetail{}, err
	}
	return r.detail(), nil
}

func (r *shopRelease) detail() engine.HelmDetail {
	d := engine.HelmDetail{HelmRelease: r.seen(), DependsOn: []string{"sync.shop"}}
	d.Node = engine.Node{ID: r.ID, State: r.State, Reason: r.Reason, Since: time.Now().Add(-4*time.Hour - time.Second)}
	d.Report = &release.Report{
		State: r.Release, Reason: r.Reason, Drift: r.drift,
		Steps: []release.Step{
			{State: release.OutOfSync, Action: release.ActUpgrade, Reason: "the chart is another", At: time.Date(2026, 4, 1, 12, 0, 0, 0, time.Local), Took: release.Duration(2340 * time.Millisecond)},
		},
	}
	if r.State == engine.Failed {
		d.Report.Steps[0].Error = "the schema refuses the values"
		d.Conditions = []resource.Condition{{Type: resource.Released, Status: resource.False, Reason: "DeployFailed", Message: "values do not fit"}}
	} else {
		d.Notes = "Open http://ghost.example.com\n"
	}
	return d
}

func (s *shop) HelmHistory(_ context.Context, name string) ([]helm.Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.releaseOf(name)
	if err != nil {
		return nil, err
	}
	return slices.Clone(r.revisions), nil
}

func (s *shop) HelmDiff(_ context.Context, name string) (release.Plan, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.releaseOf(name)
	if err != nil {
		return release.Plan{}, err
	}
	p := release.Plan{State: r.Release, Action: release.ActNone, Reason: r.Reason, Chart: release.ChartInfo{Name: r.Chart, Version: r.ChartVersion}, Drift: r.drift}
	if r.Release == release.OutOfSync {
		p.Action, p.Reason = release.ActUpgrade, "the chart is another"
		p.Changes = []helm.Change{
			{Kind: "Secret", Namespace: "demo", Name: "redis", Action: "create", Diff: "@@ -0,0 +1,3 @@\n+kind: Secret\n+data:\n+  key: (redacted)\n"},
			{Kind: "Job", Namespace: "demo", Name: "redis-migrate", Action: "create", Hook: true},
			{Kind: "Service", Namespace: "demo", Name: "redis", Action: "delete", Problem: "it belongs to another release"},
		}
	}
	return p, nil
}

func (s *shop) HelmValues(_ context.Context, req engine.HelmValuesRequest) (engine.HelmValues, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.releaseOf(req.Name)
	if err != nil {
		return engine.HelmValues{}, err
	}
	if req.Revision > r.Revision {
		return engine.HelmValues{}, fmt.Errorf("%s has no revision %d: %w", req.Name, req.Revision, refusal.ErrNotFound)
	}
	values := `{"replicas":2,"adminPassword":"hunter2","smtp":{"user":"ann"},"big":12345678901}`
	if req.All {
		values = `{"replicas":2,"port":2368}`
	}
	return engine.HelmValues{Values: secret.New(values), Secrets: []string{"/smtp/user"}, Revision: r.Revision}, nil
}

func (s *shop) HelmTemplate(_ context.Context, name string, w io.Writer) error {
	if _, err := s.releaseOf(name); err != nil {
		return err
	}
	_, err := io.WriteString(w, "apiVersion: v1\nkind: Secret\ndata:\n  key: c2Vj\n---\napiVersion: v1\nkind: Service\n")
	return err
}

func (s *shop) HelmOperate(ctx context.Context, op byhand.Operation, progress func(release.Progress)) (engine.HelmOutcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, err := s.releaseOf(op.Name)
	if err != nil {
		return engine.HelmOutcome{}, err
	}
	o := engine.HelmOutcome{DryRun: op.DryRun}
	if op.DryRun {
		o.HelmDetail, o.Done = r.detail(), fmt.Sprintf("would %s", op.Kind)
		o.Changes = []helm.Change{{Kind: "Deployment", Namespace: r.Namespace, Name: r.Name, Action: "delete"}}
		return o, nil
	}
	switch op.Kind {
	case byhand.Rollback:
		o.Done, err = r.rollback(op, progress)
	case byhand.Uninstall:
		progress(release.Progress{Phase: release.PhaseUninstalling})
		r.Revision, r.Status, r.Release, r.revisions = 0, "", release.Absent, nil
		o.Done = "uninstalled"
	case byhand.Test:
		progress(release.Progress{Phase: release.PhaseTesting})
		if r.State == engine.Failed {
			return o, fmt.Errorf("%s: the test pod/redis-test failed: exit code 1", op.Name)
		}
		o.Done = "all tests passed"
	}
	s.wait(s.pushes)
	if err == nil && op.Kind != byhand.Test {
		r.State, r.Suspension = engine.Suspended, &engine.Suspension{By: op.By, Reason: op.Reason, Since: time.Now()}
		r.Reason, r.Unblock = fmt.Sprintf("suspended by %s: %s by hand: %s", op.By, op.Kind, op.Reason), "sluice resume "+r.ID
	}
	o.HelmDetail = r.detail()
	return o, err
}

func (r *shopRelease) rollback(op byhand.Operation, progress func(release.Progress)) (string, error) {
	to := op.Revision
	if to == 0 {
		to = r.Revision - 1
	}
	if to < 1 || to >= r.Revision {
		return "", fmt.Errorf("%s has no revision %d to return to: %w", op.Name, to, refusal.ErrInvalid)
	}
	progress(release.Progress{Phase: release.PhaseRollingBack, Text: fmt.Sprintf("to revision %d", to)})
	progress(release.Progress{Phase: release.PhaseRollingBack, Event: helm.Event{Object: "Deployment/ghost", Message: "waits for 1 of 2 replicas"}})
	again := r.revisions[len(r.revisions)-to]
	again.Number, again.Status, again.Digest, again.Message = r.Revision+1, "deployed", "", fmt.Sprintf("Rollback to %d", to)
	r.revisions[0].Status = "superseded"
	r.revisions = append([]helm.Revision{again}, r.revisions...)
	r.Revision, r.Release, r.ChartVersion = again.Number, release.OutOfSync, strings.TrimPrefix(again.Chart, r.Chart+"-")
	return fmt.Sprintf("rolled back to revision %d", to), nil
}
