package release

import (
	"cmp"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// State is how a release stands, compared with its declaration.
type State string

const (
	Unknown    State = "unknown"     // it could not be found out
	Absent     State = "absent"      // there is none
	Moved      State = "moved"       // the declaration made one of another name or namespace
	Unmanaged  State = "unmanaged"   // somebody else's
	Locked     State = "locked"      // an operation is under way or was interrupted
	Failed     State = "failed"      // the newest revision, or its tests, failed
	RolledBack State = "rolled_back" // what is declared failed and an earlier revision runs
	OutOfSync  State = "out_of_sync" // made from another chart, values or options
	Untested   State = "untested"    // its tests have not run
	Drifted    State = "drifted"     // live objects are not as the release says
	InSync     State = "in_sync"     // nothing to do
)

// Action is what is done about a State.
type Action string

const (
	ActNone      Action = "none"
	ActInstall   Action = "install"
	ActUpgrade   Action = "upgrade"
	ActAdopt     Action = "adopt" // an upgrade that takes the release over
	ActUnlock    Action = "unlock"
	ActRollback  Action = "rollback"
	ActUninstall Action = "uninstall" // as a remedy
	ActMove      Action = "move"      // uninstall the one under the old name
	ActTest      Action = "test"
	ActCompare   Action = "compare" // look at the live objects
	ActCorrect   Action = "correct" // make the live objects as declared
	ActWait      Action = "wait"    // nothing yet
	ActRefuse    Action = "refuse"  // nothing until somebody does something
)

// makes reports whether an action makes a revision as declared.
func (a Action) makes() bool { return a == ActInstall || a == ActUpgrade || a == ActAdopt }

// Decision is what Decide found and why, in a sentence for the people who run
// the cluster.
type Decision struct {
	State  State  `json:"state"`
	Action Action `json:"action"`
	Reason string `json:"reason"`
	// Again is when to look again, for ActWait; zero: at the next interval.
	Again time.Time `json:"again,omitzero"`

	back int // revision to return to, for ActRollback
}

// unblock is what has to happen before anything else is done.
func (d Decision) unblock() string {
	switch {
	case d.Action == ActRefuse && (d.State == Unmanaged || d.State == Moved):
		return "what its reason asks for"
	case d.Action == ActRefuse, d.State == RolledBack && d.Again.IsZero():
		return "a change of its chart, values or options, or a request (sluice sync)"
	}
	return ""
}

// Step is one thing that a run did.
type Step struct {
	State  State     `json:"state"` // that it was done about
	Action Action    `json:"action"`
	Reason string    `json:"reason"`
	Error  string    `json:"error,omitempty"`
	At     time.Time `json:"at"`
	Took   Duration  `json:"took,omitempty"`
}

// Duration prints as 1m30s in JSON.
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// ChartInfo is the chart that a release is made from.
type ChartInfo struct {
	Name       string `json:"name,omitempty"`
	Version    string `json:"version,omitempty"`
	AppVersion string `json:"app_version,omitempty"`
	Digest     string `json:"digest,omitempty"`   // see helm.Chart
	From       string `json:"from,omitempty"`     // URL of the repository, or the source's address and the path
	Revision   string `json:"revision,omitempty"` // of the source
}

// knownBy is c with what a revision that was made from it tells: the files of
// the chart, which tell it too, are not read as long as nothing is made of them.
func (c ChartInfo) knownBy(rev helm.Revision, wanted Digest) ChartInfo {
	name, same := strings.CutSuffix(rev.Chart, "-"+c.Version)
	if made, ok := parseDigest(rev.Digest); !ok || made.Chart != wanted.Chart || !same {
		return c
	}
	c.Name, c.AppVersion = cmp.Or(c.Name, name), cmp.Or(c.AppVersion, rev.AppVersion)
	return c
}

// Report is what came of a run.
type Report struct {
	State  State  `json:"state"`
	Action Action `json:"action"` // what would be next; ActNone if nothing
	Reason string `json:"reason"` // of State; a sentence
	// Err is why the release is not as declared, with places in files where
	// they are known (see diag.From); nil if it is, or if the run only waits.
	Err   error  `json:"-"`
	Error string `json:"error,omitempty"` // text of Err
	// Problems are the diagnostics of Err, if it has any.
	Problems []Problem `json:"problems,omitempty"`
	// Unblock is what the release waits for, after an error; empty: the next
	// attempt.
	Unblock string `json:"unblock,omitempty"`
	// Refused says that the run did nothing because somebody must do something
	// first: the release is another's, or has moved.
	Refused bool `json:"refused,omitempty"`

	Steps    []Step        `json:"steps,omitempty"`
	Chart    ChartInfo     `json:"chart,omitzero"`
	Revision helm.Revision `json:"revision,omitzero"` // newest; zero if there is none
	Drift    []helm.Change `json:"drift,omitempty"`   // what is not as declared, after the run
	Warnings []string      `json:"warnings,omitempty"`
	Again    time.Time     `json:"again,omitzero"` // when to run again
}

// Changed reports whether the run has changed the release or its objects.
func (r Report) Changed() bool {
	for _, s := range r.Steps {
		switch s.Action {
		case ActInstall, ActUpgrade, ActAdopt, ActRollback, ActUninstall, ActMove, ActCorrect, ActUnlock:
			return true
		}
	}
	return false
}

// Phase is the word for what a run is doing or has done, as HelmRelease
// resources have it in their status.
type Phase string

const (
	PhaseChartFetched     Phase = "ChartFetched"
	PhaseChartFetchFailed Phase = "ChartFetchFailed"
	PhaseInstalling       Phase = "Installing"
	PhaseUpgrading        Phase = "Upgrading"
	PhaseDeployed         Phase = "Deployed"
	PhaseDeployFailed     Phase = "DeployFailed"
	PhaseTesting          Phase = "Testing"
	PhaseTested           Phase = "Tested"
	PhaseTestFailed       Phase = "TestFailed"
	PhaseRollingBack      Phase = "RollingBack"
	PhaseRolledBack       Phase = "RolledBack"
	PhaseRollbackFailed   Phase = "RollbackFailed"
	PhaseSucceeded        Phase = "Succeeded"
	PhaseFailed           Phase = "Failed"
	// Not among those of the Helm operator.
	PhaseUnlocking    Phase = "Unlocking"
	PhaseUninstalling Phase = "Uninstalling"
	PhaseUninstalled  Phase = "Uninstalled"
	PhaseCorrecting   Phase = "Correcting"
	PhaseCorrected    Phase = "Corrected"
)

// Progress is what a run is doing. Either Phase has just begun or ended, or
// Event came while it lasts.
type Progress struct {
	Phase Phase      `json:"phase"`
	Text  string     `json:"text,omitempty"` // for people
	Event helm.Event `json:"event,omitzero"`
	Chart ChartInfo  `json:"chart,omitzero"` // once it is known
	// Revision is the newest, where Phase tells of one.
	Revision helm.Revision `json:"revision,omitzero"`
}

// Plan is what a run would do.
type Plan struct {
	State  State     `json:"state"`
	Action Action    `json:"action"`
	Reason string    `json:"reason"`
	Chart  ChartInfo `json:"chart,omitzero"`
	// Changes are those of an install or upgrade to what is declared, also where
	// it failed and is not tried again; Drift those that correct live objects.
	Changes  []helm.Change `json:"changes,omitempty"`
	Drift    []helm.Change `json:"drift,omitempty"`
	Notes    string        `json:"notes,omitempty"`
	Warnings []string      `json:"warnings,omitempty"`
	// Err is why an upgrade would fail, with places in files.
	Err      error     `json:"-"`
	Error    string    `json:"error,omitempty"`
	Problems []Problem `json:"problems,omitempty"`
}

// Problem is a diagnostic, for JSON.
type Problem struct {
	Severity string `json:"severity"` // error or warning
	Summary  string `json:"summary"`
	Detail   string `json:"detail,omitempty"`
	Path     string `json:"path,omitempty"` // in the values, where File is not known
	File     string `json:"file,omitempty"`
	Line     int    `json:"line,omitempty"`
	Column   int    `json:"column,omitempty"`
}

// problemsOf are the diagnostics that err carries.
func problemsOf(err error) []Problem {
	list, _ := diag.From(err)
	var problems []Problem
	for _, d := range list {
		p := Problem{Severity: d.Severity.String(), Summary: d.Summary, Detail: d.Detail, Path: d.Path.String()}
		if d.Subject != nil {
			p.File, p.Line, p.Column = d.Subject.File, d.Subject.Start.Line, d.Subject.Start.Column
		}
		problems = append(problems, p)
	}
	return problems
}
