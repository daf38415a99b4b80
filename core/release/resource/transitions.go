package resource

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// effect is what a phase does to conditions.
type effect struct {
	condition ConditionType
	status    ConditionStatus
}

// effects of the phases that the Helm operator knew; others show in no status,
// since its definition allows no others.
var effects = map[release.Phase][]effect{
	release.PhaseChartFetched:     {{ChartFetched, True}},
	release.PhaseChartFetchFailed: {{ChartFetched, False}},
	release.PhaseInstalling:       {{Deployed, Unknown}, {Released, Unknown}},
	release.PhaseUpgrading:        {{Deployed, Unknown}, {Released, Unknown}},
	release.PhaseDeployed:         {{Deployed, True}},
	release.PhaseDeployFailed:     {{Deployed, False}, {Released, False}},
	release.PhaseTesting:          {{Tested, Unknown}},
	release.PhaseTested:           {{Tested, True}},
	release.PhaseTestFailed:       {{Tested, False}},
	release.PhaseRollingBack:      {{RolledBack, Unknown}},
	release.PhaseRolledBack:       {{RolledBack, True}},
	release.PhaseRollbackFailed:   {{RolledBack, False}},
	release.PhaseSucceeded:        {{Released, True}},
	release.PhaseFailed:           {{Released, False}},
}

// failures are the phases that tell what went wrong.
var failures = []release.Phase{
	release.PhaseChartFetchFailed, release.PhaseDeployFailed, release.PhaseTestFailed,
	release.PhaseRolledBack, release.PhaseRollbackFailed,
}

// Progressed is before after p. What a quiet run goes through, such as finding
// the chart that it has, leaves it as it is.
func (r Resource) Progressed(before Status, p release.Progress, now time.Time) Status {
	changes, known := effects[p.Phase]
	// The last phase of a run says less than the report that comes with it.
	last := p.Phase == release.PhaseSucceeded || p.Phase == release.PhaseFailed
	if p.Event != (helm.Event{}) || !known || last {
		return before
	}
	after := before
	after.run = p.Phase
	chart := r.since(before, p.Chart)
	text := cmp.Or(p.Text, r.say(p.Phase, chart))
	if p.Phase == release.PhaseChartFetched {
		text = r.say(p.Phase, chart) // the same in each run
	}
	for _, e := range changes {
		after.set(e.condition, e.status, p.Phase, text, now)
	}
	if p.Phase != release.PhaseChartFetched || before.get(ChartFetched) != after.get(ChartFetched) {
		after.Phase = p.Phase
	}
	if p.Phase == release.PhaseRolledBack {
		after.RollbackCount++
	}
	after.attempted(chart)
	after.newest(p.Revision)
	return after
}

// Reported is before after a run that ended with rep.
func (r Resource) Reported(before Status, rep release.Report, now time.Time) Status {
	after := r.observed(before)
	after.State = rep.State
	after.newest(rep.Revision)
	if gone(rep) && before.get(Deployed).Status == True {
		after.vanish(cmp.Or(rep.Error, rep.Reason), now)
	}
	after.Drift = driftLines(rep.Drift)
	after.Warnings = lines(slices.Concat(after.Warnings, rep.Warnings))
	rep.Chart = r.since(before, rep.Chart)
	after.attempted(rep.Chart)
	switch {
	case rep.Err != nil || rep.Error != "":
		after.fail(before, rep, now)
	case rep.State == release.InSync || rep.State == release.Drifted:
		r.succeed(&after, rep, now)
	default: // it waits
		reason := cmp.Or(after.Phase, release.Phase(after.get(Deployed).Reason), release.PhaseUpgrading)
		after.set(Released, Unknown, reason, rep.Reason, now)
	}
	return after
}

// Failed is before after something that kept a run from beginning, such as an
// error of Parse.
func (r Resource) Failed(before Status, err error, now time.Time) Status {
	after := r.observed(before)
	after.Phase = release.PhaseFailed
	after.set(Released, False, release.PhaseFailed, err.Error(), now)
	return after
}

// observed begins the status that tells of what the resource declares now.
func (r Resource) observed(before Status) Status {
	after := before
	after.run = ""
	// Definitions of the older kinds may have no status subresource: writing the
	// generation would then make another one.
	if r.Ref.Group == GroupHelmRelease {
		after.ObservedGeneration = r.Generation
	}
	after.ReleaseName = cmp.Or(r.Spec.Ref.Name, before.ReleaseName)
	after.Warnings = r.Misgivings()
	return after
}

// fail keeps the phase that tells best what went wrong.
func (s *Status) fail(before Status, rep release.Report, now time.Time) {
	text := rep.Error
	if rep.Err != nil {
		text = rep.Err.Error()
	}
	text = cut(text, maxMessage)
	same := rep.State == release.Failed || before.get(Released).Message == text
	switch {
	case slices.Contains(failures, before.run):
	case rep.State == release.RolledBack:
		s.Phase = release.PhaseRolledBack
	case same && slices.Contains(failures, s.Phase): // nothing new was tried
	default:
		s.Phase = release.PhaseFailed
	}
	s.set(Released, False, s.Phase, text, now)
}

// succeed says that the release is as declared.
func (r Resource) succeed(s *Status, rep release.Report, now time.Time) {
	s.Phase = release.PhaseSucceeded
	s.Revision = cmp.Or(chartRevision(rep.Chart), s.Revision)
	s.RollbackCount = 0
	s.clear(RolledBack)
	if r.Spec.Test == nil {
		s.clear(Tested)
	}
	text := r.say(release.PhaseSucceeded, rep.Chart)
	for _, t := range []ConditionType{ChartFetched, Deployed} {
		if s.get(t).Status != True {
			s.set(t, True, release.PhaseSucceeded, text, now)
		}
	}
	if n := len(rep.Drift); n > 0 {
		text += fmt.Sprintf(", but for %d live objects", n)
	}
	s.set(Released, True, release.PhaseSucceeded, text, now)
}

// newest takes over what is known of the newest revision.
func (s *Status) newest(rev helm.Revision) {
	if rev.Number > 0 {
		s.ReleaseStatus, s.HelmRevision = rev.Status, rev.Number
	}
}

// gone reports whether a run has found no release, or has uninstalled it as a
// remedy.
func gone(rep release.Report) bool {
	rev := rep.Revision
	return rep.State == release.Absent || rep.State == release.Failed && (rev.Number == 0 || rev.Status == uninstalled)
}

// uninstalled is Helm's word for the status of what is not there any more.
const uninstalled = "uninstalled"

// vanish takes note that the release is not there any more, for a reason: nothing
// that was said of it holds.
func (s *Status) vanish(why string, now time.Time) {
	s.ReleaseStatus, s.HelmRevision, s.Revision, s.Phase = uninstalled, 0, "", ""
	s.clear(Tested)
	s.clear(RolledBack)
	s.set(Deployed, False, release.PhaseUninstalled, why, now)
}

// since names the commit that the status has, rather than a newer one that left
// the chart as it is: or else each commit would write the status of all releases
// whose charts are in the same repository.
func (r Resource) since(before Status, c release.ChartInfo) release.ChartInfo {
	same := c.Digest != "" && c.Digest == before.ChartDigest
	declared := r.Ref.Group != GroupHelmRelease || before.ObservedGeneration == r.Generation
	if c.Revision != "" && same && declared {
		c.Revision = cmp.Or(before.LastAttemptedRevision, c.Revision)
	}
	return c
}

// attempted takes over which chart is, or was to be, released.
func (s *Status) attempted(c release.ChartInfo) {
	if c == (release.ChartInfo{}) {
		return
	}
	s.Chart = nameOf(c)
	s.ChartDigest = c.Digest
	s.LastAttemptedRevision = cmp.Or(chartRevision(c), s.LastAttemptedRevision)
}

// nameOf is name-version, as Helm writes it.
func nameOf(c release.ChartInfo) string { return strings.Trim(c.Name+"-"+c.Version, "-") }

// chartRevision is what Flux v1 called the revision of a chart: the commit of
// one in git, the version of another.
func chartRevision(c release.ChartInfo) string { return cmp.Or(c.Revision, c.Version) }

// say is a sentence for a phase, which is the same whenever the same happens.
func (r Resource) say(phase release.Phase, chart release.ChartInfo) string {
	name := r.Spec.Ref.Namespace + "/" + r.Spec.Ref.Name
	what := cmp.Or(nameOf(chart), "the chart")
	if chart.Revision != "" {
		what += " at " + short(chart.Revision)
	}
	switch phase {
	case release.PhaseChartFetched:
		return what + " was fetched"
	case release.PhaseChartFetchFailed:
		return what + " could not be fetched"
	case release.PhaseSucceeded:
		return "release " + name + " is as declared, with " + what
	}
	return "release " + name + ", with " + what
}

// short is a commit as people write it.
func short(revision string) string {
	const most = 12
	if len(revision) == 40 {
		return revision[:most]
	}
	return revision
}

// driftLines names the objects that are not as declared.
func driftLines(changes []helm.Change) []string {
	var all []string
	for _, c := range changes {
		all = append(all, fmt.Sprintf("%s %s", c.Kind, strings.TrimPrefix(c.Namespace+"/"+c.Name, "/")))
	}
	slices.Sort(all)
	return lines(all)
}
