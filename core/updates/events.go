package updates

import "github.com/sluice-gitops/sluice/core/event"

// Reasons of events: what programs filter by.
const (
	EventCommitted     = "committed"
	EventCommitFailed  = "commit_failed"
	EventEditConflict  = "edit_conflict"
	EventNotDecided    = "update_undecided"
	EventHeld          = "update_held" // automation does not write an image again which somebody keeps replacing
	EventRolledOut     = "rolled_out"
	EventRolloutFailed = "rollout_failed"
	EventOvertaken     = "rollout_overtaken"
	EventQuarantined   = "quarantined"
	EventUnquarantined = "unquarantined"
	EventRegistryDown  = "registry_unavailable"
	EventRegistryBack  = "registry_available"
)

// severities of the reasons that are more than news.
var severities = map[string]event.Severity{
	EventCommitFailed:  event.Error,
	EventEditConflict:  event.Warning,
	EventNotDecided:    event.Warning,
	EventHeld:          event.Warning,
	EventRolloutFailed: event.Error,
	EventOvertaken:     event.Warning,
	EventQuarantined:   event.Warning,
	EventRegistryDown:  event.Warning,
}

func eventOf(id, reason, message string) event.Event {
	return event.Event{Node: id, Reason: reason, Message: message, Severity: severities[reason]}
}
