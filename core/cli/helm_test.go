package cli

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/engine"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// golden compares with a file in testdata/golden.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update rewrites it):\n%s", path, diff)
	}
}

// ghostPlan is one with an upgrade, ghostDrift one with a correction.
var (
	ghostPlan = release.Plan{
		State: release.OutOfSync, Action: release.ActUpgrade, Reason: "the chart is another: ghost-1.2.3 is deployed", Chart: release.ChartInfo{Name: "ghost", Version: "1.2.4"},
		Changes: []helm.Change{
			{Kind: "Deployment", Namespace: "demo", Name: "ghost", Action: "update", Diff: "--- is/x\n+++ wanted/x\n@@ -1,3 +1,3 @@\n spec:\n-  image: ghost:5.0\n+  image: ghost:5.1\n"},
			{Kind: "Secret", Namespace: "demo", Name: "ghost", Action: "update", Diff: "@@ -1 +1 @@\n-  key: (redacted, before)\n+  key: (redacted, after)\n"},
			{Kind: "Job", Namespace: "demo", Name: "ghost-migrate", Action: "create", Hook: true},
			{Kind: "ClusterRole", Name: "ghost", Action: "delete"},
		},
		Warnings: []string{"the chart is deprecated"},
	}
	ghostDrift = release.Plan{
		State: release.Drifted, Action: release.ActCorrect, Reason: "1 object is not as revision 3 says", Chart: release.ChartInfo{Name: "ghost", Version: "1.2.4"},
		Drift: []helm.Change{{Kind: "Service", Namespace: "demo", Name: "ghost", Action: "update", Diff: "@@ -1 +1 @@\n-port: 81\n+port: 80\n"}},
	}
)

func TestPlanOfReleases(t *testing.T) {
	results := []engine.PlanResult{
		{Node: "release.ghost", Release: &ghostPlan},
		{Node: "release.blog", Release: &ghostDrift},
		{Node: "release.calm", Release: &release.Plan{State: release.InSync, Action: release.ActNone, Chart: release.ChartInfo{Name: "calm", Version: "1.0.0"}}},
		{Node: "release.mine", Release: &release.Plan{State: release.Unmanaged, Action: release.ActRefuse, Reason: "helm installed demo/mine; adopt = true takes it over"}},
		{Node: "release.bad", Release: &release.Plan{State: release.Unknown, Action: release.ActNone, Reason: "the chart cannot be found", Error: "https://charts.example.com/index.yaml: 404\nsee the mirror blocks"}},
		{Node: "release.typo", Release: &release.Plan{State: release.OutOfSync, Action: release.ActUpgrade, Reason: "the values are others", Error: "values.port: want a number", Problems: []release.Problem{{Severity: "error", Summary: "want a number", Path: "values.port"}}}},
		{Node: "release.away", Error: "source.git.platform is failed: no such host"},
	}
	var plain, coloured strings.Builder
	a := &app{}
	a.planPrinter(&plain).results(results)
	loud := a.planPrinter(&coloured)
	loud.colour = true
	loud.results(results)
	golden(t, "plan_releases.txt", plain.String())
	if want := "\x1b[33m  ~ demo:Deployment/ghost\x1b[0m\n"; !strings.Contains(coloured.String(), want) {
		t.Errorf("no %q in\n%q", want, coloured.String())
	}
	if want := "\x1b[31m-  image: ghost:5.0\x1b[0m\n"; !strings.Contains(coloured.String(), want) {
		t.Errorf("no %q in\n%q", want, coloured.String())
	}
	for i, want := range []int{ExitChanges, ExitChanges, ExitOK, ExitError, ExitError, ExitError, ExitError} {
		if got := codeOf(planCode(results[i : i+1])); got != want {
			t.Errorf("%s: exit code %d, want %d", results[i].Node, got, want)
		}
	}
	if got := codeOf(planCode(results[:3])); got != ExitChanges {
		t.Errorf("of several: %d", got)
	}
}

// TestPlanOfManyReleases: those that stay as they are take one line.
func TestPlanOfManyReleases(t *testing.T) {
	var results []engine.PlanResult
	for _, name := range []string{"a", "b", "c", "d"} {
		results = append(results, engine.PlanResult{Node: "release." + name, Release: &release.Plan{State: release.InSync, Action: release.ActCompare}})
	}
	results = append(results, engine.PlanResult{Node: "release.e", Release: &release.Plan{State: release.Absent, Action: release.ActInstall}})
	var out strings.Builder
	(&app{}).planPrinter(&out).results(results)
	const want = `release.e: absent: install
4 releases in sync: release.a, release.b, release.c, release.d
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func codeOf(err error) int {
	var code exitCode
	if errors.As(err, &code) {
		return int(code)
	}
	return ExitOK
}

// TestOutcomesOfReleases: what apply and sync --wait tell, and status NAME.
func TestOutcomesOfReleases(t *testing.T) {
	at := time.Date(2026, 4, 1, 12, 0, 0, 0, time.Local)
	details := []engine.Detail{
		{
			Node: engine.Node{ID: "release.ghost", State: engine.Ready, Reason: "ghost-1.2.4 is deployed", Revision: "ghost-1.2.4", Message: "5.1", DependsOn: []string{"source.git.platform"}, Declared: "releases.hcl:3:1", Since: time.Now().Add(-time.Hour)},
			Release: &release.Report{
				State: release.InSync, Action: release.ActNone, Reason: "ghost-1.2.4 is deployed", Chart: release.ChartInfo{Name: "ghost", Version: "1.2.4", AppVersion: "5.1"},
				Revision: helm.Revision{Number: 4, Status: "deployed", Updated: time.Now().Add(-time.Hour)},
				Steps: []release.Step{
					{State: release.Locked, Action: release.ActUnlock, Reason: "an upgrade was interrupted", At: at.Add(-time.Hour)},
					{State: release.OutOfSync, Action: release.ActUpgrade, Reason: "the chart is another", At: at, Took: release.Duration(75 * time.Second)},
				},
				Warnings: []string{"the chart is deprecated"},
			},
		},
		{
			Node: engine.Node{ID: "release.blog", State: engine.Failed, Reason: "hook blog-migrate failed: exit code 1", Unblock: "a change of chart or values", Since: time.Now().Add(-time.Hour)},
			Release: &release.Report{
				State: release.Failed, Action: release.ActRollback, Reason: "the upgrade failed", Error: "hook blog-migrate failed:\nexit code 1",
				Steps: []release.Step{{State: release.OutOfSync, Action: release.ActUpgrade, Reason: "the values are others", Error: "hook blog-migrate failed", At: at}},
				Drift: ghostDrift.Drift,
			},
		},
		{Node: engine.Node{ID: "release.late", State: engine.Blocked, Reason: "release.blog is failed", Since: time.Now().Add(-time.Hour)}, Release: &release.Report{Steps: []release.Step{{Action: release.ActInstall, At: at}}}},
	}
	var outcomes, status strings.Builder
	a := &app{Streams: Streams{Out: &outcomes, Err: &outcomes}}
	if err := a.writeOutcomes(&outcomes, details, at); err != nil {
		t.Fatal(err)
	}
	golden(t, "outcomes_releases.txt", outcomes.String())
	held := engine.Detail{
		Node:    engine.Node{ID: "release.held", State: engine.Suspended, Reason: "by ann: 1.3 leaks", Revision: "ghost-1.2.4", Since: time.Now().Add(-time.Hour)},
		Release: &release.Report{State: release.InSync, Chart: release.ChartInfo{Name: "ghost", Version: "1.2.4"}},
	}
	if err := a.writeDetails(&status, append(details[:2:2], held)); err != nil {
		t.Fatal(err)
	}
	golden(t, "status_releases.txt", status.String())
}

func TestStatusTableWithReleases(t *testing.T) {
	var out strings.Builder
	s := engine.Status{Nodes: []engine.Node{
		{ID: "release.ghost", State: engine.Ready, Reason: "deployed", Revision: "ghost-1.2.4", Since: time.Now().Add(-time.Hour)},
		{ID: "sync.shop", State: engine.Ready, Reason: "3 objects", Revision: "r1", Objects: 3, Since: time.Now().Add(-time.Hour)},
	}}
	if err := writeStatus(&out, s); err != nil {
		t.Fatal(err)
	}
	const want = `NODE           STATE  FOR  REVISION     OBJECTS  FAILED  REASON
release.ghost  ready  60m  ghost-1.2.4                   deployed
sync.shop      ready  60m  r1           3        0       3 objects
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestConfigStatus(t *testing.T) {
	var out strings.Builder
	a := &app{}
	a.writeConfigStatus(&out, nil)
	a.writeConfigStatus(&out, &engine.ConfigStatus{OK: true, Loaded: time.Now().Add(-time.Hour), Problems: []rollout.Problem{{Severity: "warning", Summary: "Unused source"}}})
	if got := out.String(); !strings.HasPrefix(got, "The configuration of 60m ago is in use, with 1 warning:\n") || !strings.Contains(got, "Unused source") {
		t.Errorf("got\n%s", got)
	}
	out.Reset()
	a.writeConfigStatus(&out, &engine.ConfigStatus{Tried: time.Now().Add(-time.Hour), Problems: []rollout.Problem{{Severity: "error", Summary: "Unknown block"}}})
	if got := out.String(); !strings.HasPrefix(got, "The configuration was refused 60m ago; the last good one runs on:\n") {
		t.Errorf("got\n%s", got)
	}
}

func TestReleaseState(t *testing.T) {
	for _, tc := range []struct {
		state   engine.State
		release release.State
		want    string
	}{
		{"", "", ""},
		{engine.Ready, release.InSync, "in sync"},
		{engine.Ready, release.Drifted, "drifted"}, // mode = warn
		{engine.Ready, "", "ready"},
		{engine.Failed, release.Unknown, "failed"},
		{engine.Failed, release.Failed, "failed"},
		{engine.Failed, release.RolledBack, "failed, rolled back"},
		{engine.Waiting, release.Locked, "waiting, locked"},
		{engine.Suspended, release.OutOfSync, "suspended"},
		{engine.Running, release.OutOfSync, "running"},
		{engine.Blocked, release.Absent, "blocked, absent"},
	} {
		if got := releaseState(engine.HelmRelease{State: tc.state, Release: tc.release}); got != tc.want {
			t.Errorf("%s/%s: %q, want %q", tc.state, tc.release, got, tc.want)
		}
	}
}

// TestNarrowTerminals: what matters least is left out first, and what cannot be
// left out stays.
func TestNarrowTerminals(t *testing.T) {
	list := []engine.HelmRelease{
		{ID: "release.ghost", Namespace: "demo", Name: "ghost", Revision: 3, Status: "deployed", Chart: "ghost", ChartVersion: "1.2.4", AppVersion: "5.0", State: engine.Ready, Release: release.InSync, Declared: "releases.hcl:3:1", Applier: "a"},
		{Namespace: "kube-system", Name: "größe", Revision: 1, Status: "deployed", Owner: "release.old", Applier: "b"},
	}
	for width, want := range map[int]string{
		0:   "NAMESPACE NAME REVISION STATUS CHART APP-VERSION STATE DECLARED-BY APPLIER",
		200: "NAMESPACE NAME REVISION STATUS CHART APP-VERSION STATE DECLARED-BY APPLIER",
		90:  "NAMESPACE NAME REVISION STATUS CHART STATE DECLARED-BY APPLIER",
		80:  "NAMESPACE NAME REVISION CHART STATE DECLARED-BY APPLIER",
		60:  "NAMESPACE NAME REVISION CHART STATE APPLIER",
		50:  "NAMESPACE NAME CHART STATE APPLIER",
		5:   "NAMESPACE NAME CHART STATE APPLIER",
	} {
		var out strings.Builder
		if err := writeReleases(&out, list, false, width); err != nil {
			t.Fatal(err)
		}
		header, rows, _ := strings.Cut(out.String(), "\n")
		if got := strings.Join(strings.Fields(header), " "); got != want {
			t.Errorf("%d wide: %s, want %s", width, got, want)
		}
		for line := range strings.Lines(out.String()) {
			if n := utf8.RuneCountInString(line) - 1; width >= 50 && n > width {
				t.Errorf("%d wide: a line of %d: %s", width, n, line)
			}
		}
		if !strings.Contains(rows, "größe") {
			t.Errorf("%d wide: a row is missing:\n%s", width, rows)
		}
	}
}

// TestReleasesAreVisible: what charts and clusters say cannot act on the terminal.
func TestReleasesAreVisible(t *testing.T) {
	const evil = "x\x1b[2J\u009b8m\r\nforged row\u202e"
	var out strings.Builder
	a := &app{Streams: Streams{Out: &out, Err: &out}}
	change := []helm.Change{{Kind: evil, Namespace: evil, Name: evil, Action: evil, Diff: "@@ " + evil, Problem: evil}}
	steps := []release.Step{{State: evil, Action: evil, Reason: evil, Error: evil}}
	r := engine.HelmRelease{
		ID: evil, Namespace: evil, Name: evil, Applier: evil, Owner: evil, Declared: evil, State: evil, Release: evil, Reason: evil, Unblock: evil,
		Chart: evil, ChartVersion: evil, AppVersion: evil, ChartDigest: evil, ChartFrom: evil, Revision: 1, Status: evil, Tests: evil, Suspension: &engine.Suspension{By: evil, Reason: evil},
	}
	d := engine.HelmDetail{HelmRelease: r, Node: engine.Node{ID: evil}, Notes: evil, DependsOn: []string{evil}, Report: &release.Report{Steps: steps, Drift: change, Warnings: []string{evil}, Error: evil}}
	plan := release.Plan{State: evil, Action: evil, Reason: evil, Error: evil + "!", Chart: release.ChartInfo{Name: evil, Version: evil}, Changes: change, Drift: change, Warnings: []string{evil}}
	planPrinter{w: &out}.release(evil, plan, nil)
	for _, err := range []error{
		writeReleases(&out, []engine.HelmRelease{r}, false, 0),
		writeReleaseReasons(&out, []engine.HelmRelease{r}),
		a.writeRelease(&out, d),
		a.writeOutcome(&out, engine.HelmOutcome{HelmDetail: d, Done: evil, Changes: change}),
		writeHistory(&out, []helm.Revision{{Status: evil, Chart: evil, AppVersion: evil, Message: evil, Tests: evil, Owner: evil, Digest: "d"}}, engine.HelmRelease{}, 0),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' }
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "forged") || strings.ContainsFunc(line, unprintable) {
			t.Errorf("printed %q", line)
		}
	}
}

func TestPhaseWords(t *testing.T) {
	for phase, want := range map[release.Phase]string{release.PhaseRollingBack: "rolling back", release.PhaseDeployed: "deployed", "": ""} {
		if got := phaseWords(phase); got != want {
			t.Errorf("%s: %q, want %q", phase, got, want)
		}
	}
}
