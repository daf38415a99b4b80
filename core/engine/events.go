package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/event"
)

// Reasons of events: what programs filter by.
const (
	eventNewRevision   = "new_revision"
	eventApplied       = "applied"
	eventPartlyApplied = "partly_applied"
	eventApproval      = "approval_needed"
	eventApproved      = "approved"
	eventFailed        = "failed"
	eventRecovered     = "recovered"
	eventBlocked       = "blocked"
	eventSuspended     = "suspended"
	eventResumed       = "resumed"
	eventRemoved       = "removed"
	eventReloaded      = "reloaded"
	eventBadConfig     = "bad_configuration"
	eventStarted       = "started"
	eventNewImages     = "new_images"
	eventBadPolicy     = "bad_policy"
	eventCommitTrouble = "commit_trouble"
	eventMarkFailed    = "marker_failed"
	eventInstalled     = "installed"
	eventUpgraded      = "upgraded"
	eventRolledBack    = "rolled_back"
	eventUninstalled   = "uninstalled"
	eventUnlocked      = "unlocked"
	eventCorrected     = "drift_corrected"
	eventTested        = "tested"
	eventOperated      = "operated"
	eventNotOperated   = "operation_failed"
	eventInherited     = "inherited"
	eventUnfollowed    = "not_followed"
	eventUnreachable   = "unreachable"
	eventContended     = "contended"
	eventReachable     = "reachable"
)

// severities of the reasons that are more than news.
var severities = map[string]event.Severity{
	eventApproval:      event.Warning,
	eventFailed:        event.Error,
	eventBlocked:       event.Warning,
	eventPartlyApplied: event.Warning,
	eventRemoved:       event.Warning,
	eventBadConfig:     event.Error,
	eventCommitTrouble: event.Warning,
	eventMarkFailed:    event.Warning,
	eventRolledBack:    event.Warning,
	eventUnlocked:      event.Warning,
	eventCorrected:     event.Warning,
	eventNotOperated:   event.Warning,
	eventUnfollowed:    event.Warning,
	eventUnreachable:   event.Error,
	eventContended:     event.Warning,
}

// eventsKept is how many events survive a restart.
const eventsKept = 10_000

func (e *Engine) openBus() error {
	ring, err := e.store.Ring("events", eventsKept)
	if err != nil {
		return fmt.Errorf("engine: events: %w", err)
	}
	if e.bus, err = event.New(event.Options{Journal: ring, Logger: e.log}); err != nil {
		return fmt.Errorf("engine: events: %w", err)
	}
	e.onClose(func(context.Context) error { e.bus.Close(); return nil })
	return nil
}

func eventOf(id, reason, message string) event.Event {
	return event.Event{Node: id, Reason: reason, Message: message, Severity: severities[reason]}
}

// publish tells what happened to n. e.mu is held, so that events come in the
// order of the states.
func (e *Engine) publish(n *node, reason, message string) {
	ev := eventOf(n.id, reason, message)
	ev.Revision = n.view.Revision
	e.bus.Publish(ev)
	e.log.Log(context.Background(), ev.Severity.Level(), message, "node", n.id, "event", reason)
}

// say publishes, unless it is what was said last: a failure that repeats is
// told once. It reports whether it did. e.mu is held.
func (e *Engine) say(n *node, reason, message string) bool {
	said := reason + " " + message
	if n.said == said {
		return false
	}
	n.said = said
	e.publish(n, reason, message)
	return true
}

// logProblems logs what n.view.Problems adds to its reason, each with its
// place. e.mu is held.
func (e *Engine) logProblems(n *node) {
	for _, p := range n.view.Problems {
		if p.Severity == "error" && !strings.Contains(n.view.Reason, p.String()) {
			e.log.Error(p.String(), "node", n.id)
		}
	}
}

// EventQuery selects events.
type EventQuery struct {
	Since  uint64 `json:"since,omitempty"`  // only those with a higher number
	Limit  int    `json:"limit,omitempty"`  // only the newest so many of those that are there; 0: all
	Node   string `json:"node,omitempty"`   // only those of this node, by name or id
	Follow bool   `json:"follow,omitempty"` // go on with new ones until ctx ends
}

// Events calls fn with each event that q selects, oldest first, until fn
// returns an error.
func (e *Engine) Events(ctx context.Context, q EventQuery, fn func(event.Event) error) error {
	if err := e.checkAlive(); err != nil {
		return err
	}
	match := func(event.Event) bool { return true }
	if q.Node != "" {
		ids, err := e.resolveNames([]string{q.Node}, anyNode) // all instances of a for_each
		if err != nil {
			return err
		}
		match = func(ev event.Event) bool { return slices.Contains(ids, ev.Node) }
	}
	after := max(q.Since, e.bus.Last()) // before Since, so that nothing falls between
	past, err := e.bus.Since(q.Since, 0, match)
	if err != nil {
		return err
	}
	if len(past) > 0 {
		after = past[len(past)-1].Seq
	}
	if q.Limit > 0 && len(past) > q.Limit {
		past = past[len(past)-q.Limit:]
	}
	for _, ev := range past {
		if err := fn(ev); err != nil {
			return err
		}
	}
	if !q.Follow {
		return nil
	}
	return e.follow(ctx, after, match, fn)
}

func (e *Engine) follow(ctx context.Context, after uint64, match func(event.Event) bool, fn func(event.Event) error) error {
	sub := e.bus.Subscribe(after, match)
	for {
		ev, err := sub.Next(ctx)
		if err != nil {
			return err
		}
		if err := fn(ev); err != nil {
			return err
		}
	}
}
