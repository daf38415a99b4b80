package resource_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/resource"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

var (
	chart    = release.ChartInfo{Name: "ghost", Version: "1.2.3", Digest: "sha256:a"}
	newer    = release.ChartInfo{Name: "ghost", Version: "2.0.0", Digest: "sha256:b"}
	deployed = helm.Revision{Number: 1, Status: "deployed", Chart: "ghost-1.2.3"}
	broken   = helm.Revision{Number: 2, Status: "failed", Chart: "ghost-2.0.0"}
	back     = helm.Revision{Number: 3, Status: "deployed", Chart: "ghost-1.2.3"}
)

// script is what happens to a resource, a minute apart, and the lines that
// Status prints as after each of it; "" where nothing changed.
type script struct {
	t      *testing.T
	r      resource.Resource
	status resource.Status
	now    time.Time
}

func newScript(t *testing.T) *script {
	return &script{t: t, r: plain(), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

func (s *script) progress(p release.Progress, want string) {
	s.t.Helper()
	s.check(s.r.Progressed(s.status, p, s.now), string(p.Phase), want)
}

func (s *script) phase(p release.Phase, c release.ChartInfo, want string) {
	s.t.Helper()
	s.progress(release.Progress{Phase: p, Chart: c}, want)
}

func (s *script) report(rep release.Report, want string) {
	s.t.Helper()
	s.check(s.r.Reported(s.status, rep, s.now), "report of "+string(rep.State), want)
}

func (s *script) check(after resource.Status, what, want string) {
	s.t.Helper()
	_, changed := resource.Patch(s.status, after)
	got := ""
	if changed {
		got = line(after)
	}
	if got != want {
		s.t.Errorf("%s:\ngot  %s\nwant %s", what, got, want)
	}
	s.status = after
	s.now = s.now.Add(time.Minute)
}

// line is a status in short: phase, conditions with the minute of their last
// transition, chart's revision, the one tried, revision and status of the
// release.
func line(s resource.Status) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", s.Phase)
	for _, c := range s.Conditions {
		at, err := time.Parse(time.RFC3339, c.LastTransitionTime)
		if err != nil {
			return err.Error()
		}
		fmt.Fprintf(&b, " %s=%s@%d", c.Type, c.Status, at.Minute())
	}
	fmt.Fprintf(&b, " %s/%s %d:%s", s.Revision, s.LastAttemptedRevision, s.HelmRevision, s.ReleaseStatus)
	if s.RollbackCount > 0 {
		fmt.Fprintf(&b, " rollbacks=%d", s.RollbackCount)
	}
	return b.String()
}

// TestLifeOfARelease: install, quiet runs, an upgrade that fails and is rolled
// back, one that works.
func TestLifeOfARelease(t *testing.T) {
	s := newScript(t)
	good := release.Report{State: release.InSync, Chart: chart, Revision: deployed}
	s.phase(release.PhaseChartFetched, chart, "ChartFetched ChartFetched=True@0 /1.2.3 0:")
	s.phase(release.PhaseInstalling, chart, "Installing ChartFetched=True@0 Deployed=Unknown@1 Released=Unknown@1 /1.2.3 0:")
	s.progress(release.Progress{Phase: release.PhaseInstalling, Event: helm.Event{Message: "hook ended"}}, "")
	s.progress(release.Progress{Phase: release.PhaseDeployed, Revision: deployed}, "Deployed ChartFetched=True@0 Deployed=True@3 Released=Unknown@1 /1.2.3 1:deployed")
	s.report(good, "Succeeded ChartFetched=True@0 Deployed=True@3 Released=True@4 1.2.3/1.2.3 1:deployed")

	for range 3 { // nothing is written by runs that find nothing to do
		s.phase(release.PhaseChartFetched, chart, "")
		s.report(good, "")
	}
	s.phase(release.PhaseCorrecting, chart, "") // no word of the Helm operator
	s.phase(release.PhaseCorrected, chart, "")
	s.report(good, "")

	s.phase(release.PhaseChartFetched, newer, "ChartFetched ChartFetched=True@0 Deployed=True@3 Released=True@4 1.2.3/2.0.0 1:deployed")
	s.phase(release.PhaseUpgrading, newer, "Upgrading ChartFetched=True@0 Deployed=Unknown@15 Released=Unknown@15 1.2.3/2.0.0 1:deployed")
	s.progress(release.Progress{Phase: release.PhaseDeployFailed, Chart: newer, Revision: broken}, "DeployFailed ChartFetched=True@0 Deployed=False@16 Released=False@16 1.2.3/2.0.0 2:failed")
	s.phase(release.PhaseRollingBack, newer, "RollingBack ChartFetched=True@0 Deployed=False@16 Released=False@16 RolledBack=Unknown@17 1.2.3/2.0.0 2:failed")
	s.progress(release.Progress{Phase: release.PhaseRolledBack, Chart: newer, Revision: back}, "RolledBack ChartFetched=True@0 Deployed=False@16 Released=False@16 RolledBack=True@18 1.2.3/2.0.0 3:deployed rollbacks=1")
	s.phase(release.PhaseFailed, newer, "") // the report says more
	failed := release.Report{State: release.RolledBack, Err: errors.New("hook failed"), Chart: newer, Revision: back}
	s.report(failed, "RolledBack ChartFetched=True@0 Deployed=False@16 Released=False@16 RolledBack=True@18 1.2.3/2.0.0 3:deployed rollbacks=1")
	if got := s.status.Conditions[2]; got.Message != "hook failed" || got.Reason != "RolledBack" || got.LastUpdateTime <= got.LastTransitionTime {
		t.Errorf("got %+v", got)
	}
	s.phase(release.PhaseChartFetched, newer, "")
	s.report(failed, "")

	s.phase(release.PhaseUpgrading, newer, "Upgrading ChartFetched=True@0 Deployed=Unknown@23 Released=Unknown@23 RolledBack=True@18 1.2.3/2.0.0 3:deployed rollbacks=1")
	s.phase(release.PhaseDeployed, newer, "Deployed ChartFetched=True@0 Deployed=True@24 Released=Unknown@23 RolledBack=True@18 1.2.3/2.0.0 3:deployed rollbacks=1")
	s.report(release.Report{State: release.InSync, Chart: newer, Revision: helm.Revision{Number: 4, Status: "deployed"}}, "Succeeded ChartFetched=True@0 Deployed=True@24 Released=True@25 2.0.0/2.0.0 4:deployed")
}

func TestTestsOfARelease(t *testing.T) {
	s := newScript(t)
	s.r.Spec.Test = &release.Test{}
	s.phase(release.PhaseDeployed, chart, "Deployed Deployed=True@0 /1.2.3 0:")
	s.phase(release.PhaseTesting, chart, "Testing Deployed=True@0 Tested=Unknown@1 /1.2.3 0:")
	s.phase(release.PhaseTestFailed, chart, "TestFailed Deployed=True@0 Tested=False@2 /1.2.3 0:")
	bad := release.Report{State: release.Failed, Err: errors.New("test"), Chart: chart, Revision: deployed}
	s.report(bad, "TestFailed Deployed=True@0 Tested=False@2 Released=False@3 /1.2.3 1:deployed")
	s.report(bad, "") // what failed before is still the best word for it
	s.phase(release.PhaseTesting, chart, "Testing Deployed=True@0 Tested=Unknown@5 Released=False@3 /1.2.3 1:deployed")
	s.phase(release.PhaseTested, chart, "Tested Deployed=True@0 Tested=True@6 Released=False@3 /1.2.3 1:deployed")
	good := release.Report{State: release.InSync, Chart: chart, Revision: deployed}
	s.report(good, "Succeeded Deployed=True@0 Tested=True@6 Released=True@7 ChartFetched=True@7 1.2.3/1.2.3 1:deployed")
	s.r.Spec.Test = nil
	s.report(good, "Succeeded Deployed=True@0 Released=True@7 ChartFetched=True@7 1.2.3/1.2.3 1:deployed")
}

func TestOtherOutcomes(t *testing.T) {
	tests := map[string]struct {
		before []release.Phase
		report release.Report
		want   string
	}{
		"chart not found": {[]release.Phase{release.PhaseChartFetchFailed}, release.Report{State: release.Unknown, Err: errors.New("x")},
			"ChartFetchFailed ChartFetched=False@0 Released=False@1 / 0:"},
		"values not found":                   {nil, release.Report{State: release.Unknown, Err: errors.New("x")}, "Failed Released=False@0 / 0:"},
		"another's":                          {nil, release.Report{State: release.Unmanaged, Err: errors.New("x"), Refused: true, Revision: deployed}, "Failed Released=False@0 / 1:deployed"},
		"kept by a report of another daemon": {nil, release.Report{State: release.Failed, Error: "x"}, "Failed Released=False@0 / 0:"},
		"rolled back before":                 {nil, release.Report{State: release.RolledBack, Err: errors.New("x")}, "RolledBack Released=False@0 / 0:"},
		"rollback failed":                    {[]release.Phase{release.PhaseRollbackFailed}, release.Report{State: release.Failed, Err: errors.New("x")}, "RollbackFailed RolledBack=False@0 Released=False@1 / 0:"},
		"locked":                             {nil, release.Report{State: release.Locked, Reason: "helm is at work"}, " Released=Unknown@0 / 0:"},
		"drifted":                            {nil, release.Report{State: release.Drifted, Chart: chart, Drift: []helm.Change{{Kind: "Service", Namespace: "demo", Name: "a"}}}, "Succeeded ChartFetched=True@0 Deployed=True@0 Released=True@0 1.2.3/1.2.3 0:"},
		"of git":                             {nil, release.Report{State: release.InSync, Chart: release.ChartInfo{Name: "g", Version: "1", Revision: "abc"}}, "Succeeded ChartFetched=True@0 Deployed=True@0 Released=True@0 abc/abc 0:"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newScript(t)
			for _, p := range tt.before {
				s.status = s.r.Progressed(s.status, release.Progress{Phase: p}, s.now)
				s.now = s.now.Add(time.Minute)
			}
			s.report(tt.report, tt.want)
			s.report(tt.report, "")
		})
	}
}

// TestStatusFields: everything else that a report puts into the status.
// TestReleaseThatIsGone: what runs no more is not told as if it did, whoever has
// taken it away.
func TestReleaseThatIsGone(t *testing.T) {
	for name, tt := range map[string]struct {
		rep  release.Report
		want string
	}{
		"by hand":     {release.Report{State: release.Absent, Reason: "It was uninstalled by hand."}, " ChartFetched=True@0 Deployed=False@1 Released=Unknown@1 /1.2.3 0:uninstalled"},
		"as a remedy": {release.Report{State: release.Failed, Err: errors.New("it failed"), Revision: helm.Revision{Number: 1, Status: "uninstalled"}}, "Failed ChartFetched=True@0 Deployed=False@1 Released=False@1 /1.2.3 0:uninstalled"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t)
			s.report(release.Report{State: release.InSync, Chart: chart, Revision: deployed}, "Succeeded ChartFetched=True@0 Deployed=True@0 Released=True@0 1.2.3/1.2.3 1:deployed")
			s.report(tt.rep, tt.want)
		})
	}
	s := newScript(t)
	s.report(release.Report{State: release.InSync, Chart: chart, Revision: deployed}, "Succeeded ChartFetched=True@0 Deployed=True@0 Released=True@0 1.2.3/1.2.3 1:deployed")
	s.report(release.Report{State: release.Unknown, Reason: "nobody has looked"}, "Succeeded ChartFetched=True@0 Deployed=True@0 Released=Unknown@1 1.2.3/1.2.3 1:deployed")
}

func TestStatusFields(t *testing.T) {
	r := plain()
	r.Warnings = diag.List{diag.Warningf(diag.Attr("spec", "x"), "there is no such field")}
	var drift []helm.Change
	for i := range 30 {
		drift = append(drift, helm.Change{Kind: "ConfigMap", Namespace: "demo", Name: fmt.Sprintf("c%02d", i)})
	}
	got := r.Reported(resource.Status{}, release.Report{
		State: release.Drifted, Chart: release.ChartInfo{Name: "ghost", Version: "1.2.3", Digest: "sha256:a", Revision: "abc"},
		Revision: deployed, Drift: drift, Warnings: []string{"deprecated API"},
	}, time.Unix(0, 0))
	want := resource.Status{
		ObservedGeneration: 3, Phase: "Succeeded", ReleaseName: "demo-ghost", ReleaseStatus: "deployed",
		Revision: "abc", LastAttemptedRevision: "abc", State: "drifted", Chart: "ghost-1.2.3", ChartDigest: "sha256:a", HelmRevision: 1,
		Warnings: []string{"spec.x: there is no such field", "deprecated API"},
		Conditions: []resource.Condition{
			{Type: "ChartFetched", Status: "True", LastUpdateTime: "1970-01-01T00:00:00Z", LastTransitionTime: "1970-01-01T00:00:00Z", Reason: "Succeeded", Message: "release demo/demo-ghost is as declared, with ghost-1.2.3 at abc"},
			{Type: "Deployed", Status: "True", LastUpdateTime: "1970-01-01T00:00:00Z", LastTransitionTime: "1970-01-01T00:00:00Z", Reason: "Succeeded", Message: "release demo/demo-ghost is as declared, with ghost-1.2.3 at abc"},
			{Type: "Released", Status: "True", LastUpdateTime: "1970-01-01T00:00:00Z", LastTransitionTime: "1970-01-01T00:00:00Z", Reason: "Succeeded", Message: "release demo/demo-ghost is as declared, with ghost-1.2.3 at abc, but for 30 live objects"},
		},
	}
	if len(got.Drift) != 21 || got.Drift[0] != "ConfigMap demo/c00" || got.Drift[20] != "and 10 more" {
		t.Errorf("drift %q", got.Drift)
	}
	want.Drift = got.Drift
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(resource.Status{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestCommitsThatLeaveTheChart: the revision is that of the commit that brought
// the chart, and commits after it write no status.
func TestCommitsThatLeaveTheChart(t *testing.T) {
	s := newScript(t)
	at := func(commit, digest string) release.Report {
		return release.Report{State: release.InSync, Chart: release.ChartInfo{Name: "g", Version: "1", Digest: digest, Revision: commit}}
	}
	s.report(at("aaa", "sha256:a"), "Succeeded ChartFetched=True@0 Deployed=True@0 Released=True@0 aaa/aaa 0:")
	s.phase(release.PhaseChartFetched, at("bbb", "sha256:a").Chart, "ChartFetched ChartFetched=True@0 Deployed=True@0 Released=True@0 aaa/aaa 0:")
	s.report(at("bbb", "sha256:a"), "Succeeded ChartFetched=True@0 Deployed=True@0 Released=True@0 aaa/aaa 0:")
	s.report(at("ccc", "sha256:a"), "")
	s.report(at("ddd", "sha256:d"), "Succeeded ChartFetched=True@0 Deployed=True@0 Released=True@0 ddd/ddd 0:")
	s.r.Generation++
	s.report(at("eee", "sha256:d"), "Succeeded ChartFetched=True@0 Deployed=True@0 Released=True@0 eee/eee 0:")
}

// TestGenerationOfOlderKinds: without a status subresource, writing it would
// make the next one, for ever.
func TestGenerationOfOlderKinds(t *testing.T) {
	for group, want := range map[string]int64{"helm.fluxcd.io": 3, "flux.weave.works": 0, "helm.integrations.flux.weave.works": 0} {
		r := plain()
		r.Ref.Group = group
		if got := r.Failed(resource.Status{}, errors.New("x"), time.Now()).ObservedGeneration; got != want {
			t.Errorf("%s: %d, want %d", group, got, want)
		}
	}
}

func TestFailedBeforeARun(t *testing.T) {
	s := newScript(t)
	err := diag.List{diag.Errorf(diag.Attr("spec", "chart"), "there is no chart")}.Err()
	s.check(s.r.Failed(s.status, err, s.now), "failed", "Failed Released=False@0 / 0:")
	s.check(s.r.Failed(s.status, err, s.now), "failed again", "")
	if got := s.status.Conditions[0].Message; got != "spec.chart: there is no chart" {
		t.Errorf("message %q", got)
	}
	s.check(s.r.Failed(s.status, errors.New(strings.Repeat("é", 5000)), s.now), "failed at length", "Failed Released=False@0 / 0:")
	if got := s.status.Conditions[0].Message; len(got) > 1024 || !strings.HasSuffix(got, "é...") {
		t.Errorf("message of %d bytes", len(got))
	}
}

// TestPatch: only what differs, with null for what goes; what others wrote
// stays.
func TestPatch(t *testing.T) {
	text := `{"phase": "Failed", "rollbackCount": 2, "observedGeneration": "x", "foreign": 1,
		"conditions": [{"type": "RolledBack", "status": "True", "lastUpdateTime": null, "lastTransitionTime": "2020-01-01T00:00:00Z"}]}`
	var v map[string]any
	if err := json.Unmarshal(v1(t, repoChart), &v); err != nil {
		t.Fatal(err)
	}
	v["status"] = json.RawMessage(text)
	object, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	r, err := resource.Parse(object, resource.Options{})
	if err != nil {
		t.Fatal(err)
	}
	after := r.Status
	after.Phase, after.RollbackCount, after.Conditions = release.PhaseSucceeded, 0, nil
	patch, changed := resource.Patch(r.Status, after)
	if want := `{"conditions":null,"phase":"Succeeded","rollbackCount":null}`; !changed || string(patch) != want {
		t.Errorf("got %s, want %s", patch, want)
	}
	if patch, changed = resource.Patch(after, after); changed || patch != nil {
		t.Errorf("nothing is %s", patch)
	}
}

// TestStatusIsNotShared: what was handed out does not change.
func TestStatusIsNotShared(t *testing.T) {
	r := plain()
	first := r.Progressed(resource.Status{}, release.Progress{Phase: release.PhaseInstalling}, time.Unix(0, 0))
	kept := line(first)
	r.Progressed(first, release.Progress{Phase: release.PhaseDeployed}, time.Unix(60, 0))
	r.Reported(first, release.Report{State: release.InSync}, time.Unix(60, 0))
	if got := line(first); got != kept {
		t.Errorf("became %s", got)
	}
}

func TestEvents(t *testing.T) {
	step := func(a release.Action) release.Step { return release.Step{Action: a} }
	tests := map[string]struct {
		report  release.Report
		warning bool
		want    string
	}{
		"quiet":     {release.Report{State: release.InSync, Steps: []release.Step{step(release.ActCompare)}, Revision: deployed}, false, ""},
		"locked":    {release.Report{State: release.Locked, Steps: []release.Step{step(release.ActWait)}}, false, ""},
		"installed": {release.Report{State: release.InSync, Steps: []release.Step{step(release.ActInstall), step(release.ActTest)}, Revision: deployed}, false, "ReleaseSynced: release demo/demo-ghost: installed, tested; revision 1 of chart ghost-1.2.3"},
		"upgraded after a failure": {release.Report{State: release.InSync, Steps: []release.Step{step(release.ActUnlock), {Action: release.ActUpgrade, Error: "x"}, step(release.ActUpgrade)}, Revision: back},
			false, "ReleaseSynced: release demo/demo-ghost: unlocked, upgraded; revision 3 of chart ghost-1.2.3"},
		"corrected": {release.Report{State: release.InSync, Steps: []release.Step{step(release.ActCorrect)}}, false, "ReleaseSynced: release demo/demo-ghost: live objects corrected"},
		"misspelt": {release.Report{State: release.InSync, Steps: []release.Step{step(release.ActInstall)}}, true,
			"ReleaseSynced: release demo/demo-ghost: installed, but: spec.vaules: there is no such field"},
		"failed": {release.Report{State: release.Failed, Err: errors.New("no such chart")}, true, "FailedReleaseSync: no such chart"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := plain()
			if tt.warning && tt.report.Err == nil {
				r.Warnings = diag.List{diag.Warningf(diag.Attr("spec", "vaules"), "there is no such field")}
			}
			ev, ok := r.EventOf(tt.report)
			if !ok {
				if tt.want != "" {
					t.Errorf("no event, want %s", tt.want)
				}
				return
			}
			if got := ev.Reason + ": " + ev.Message; got != tt.want || ev.Warning != tt.warning || ev.Ref != r.Ref || ev.UID != "u1" {
				t.Errorf("got %s, %+v", got, ev)
			}
		})
	}
}
