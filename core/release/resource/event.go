package resource

import (
	"fmt"
	"strings"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// Reasons of events, as the Helm operator had them.
const (
	ReasonSynced = "ReleaseSynced"
	ReasonFailed = "FailedReleaseSync"
)

// EventOf is what a run that ended with rep tells about the resource: nothing
// (ok is false) if it is well and was before.
func (r Resource) EventOf(rep release.Report) (ev applier.ResourceEvent, ok bool) {
	ev = applier.ResourceEvent{Ref: r.Ref, UID: r.UID, Reason: ReasonSynced}
	name := r.Spec.Ref.Namespace + "/" + r.Spec.Ref.Name
	switch {
	case rep.Err != nil:
		return r.FailureEvent(rep.Err), true
	case !rep.Changed():
		return applier.ResourceEvent{}, false
	}
	ev.Message = fmt.Sprintf("release %s: %s%s", name, done(rep.Steps), nowAt(rep))
	if warnings := r.Misgivings(); len(warnings) > 0 { // a misspelt field means a release with other values than somebody thinks
		ev.Warning = true
		ev.Message += ", but: " + strings.Join(warnings, "; ")
	}
	ev.Message = cut(ev.Message, maxMessage)
	return ev, true
}

// Misgivings are the warnings about what the resource declares, as texts.
func (r Resource) Misgivings() (list []string) {
	for _, w := range r.Warnings {
		list = append(list, w.Error())
	}
	return list
}

// FailureEvent tells that the release cannot be made as declared.
func (r Resource) FailureEvent(err error) applier.ResourceEvent {
	return applier.ResourceEvent{Ref: r.Ref, UID: r.UID, Warning: true, Reason: ReasonFailed, Message: cut(err.Error(), maxMessage)}
}

// done names what was done, each thing once.
func done(steps []release.Step) string {
	past := map[release.Action]string{
		release.ActInstall: "installed", release.ActUpgrade: "upgraded", release.ActAdopt: "taken over",
		release.ActUnlock: "unlocked", release.ActRollback: "rolled back", release.ActUninstall: "uninstalled",
		release.ActMove: "uninstalled under its old name", release.ActTest: "tested", release.ActCorrect: "live objects corrected",
	}
	var words []string
	for _, s := range steps {
		word, told := past[s.Action]
		if !told || s.Error != "" || len(words) > 0 && words[len(words)-1] == word {
			continue
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

// nowAt says what runs after rep.
func nowAt(rep release.Report) string {
	if rep.Revision.Number == 0 {
		return ""
	}
	text := fmt.Sprintf("; revision %d", rep.Revision.Number)
	if rep.Revision.Chart != "" {
		text += " of chart " + rep.Revision.Chart
	}
	return text
}
