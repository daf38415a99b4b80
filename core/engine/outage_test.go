package engine

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gitops/sluice/core/event"
	"github.com/sluice-gitops/sluice/core/updates"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// TestRegistryOutage: an automation that cannot ask a registry says since when
// and why, and tells of it once.
func TestRegistryOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, automated, map[string]string{
			"web.yaml": declared("shop", "web", "registry.invalid/web:1.0.0", yes...),
			"api.yaml": declared("shop", "api", "registry.invalid/api:1.0.0", yes...),
		})
		f.rolledOut(func(w *applier.Workload) {
			w.Annotations = map[string]string{"fluxcd.io/automated": "true", "fluxcd.io/tag.main": "semver:^1"}
		})
		began := time.Now()
		sleepFor(t, 20*time.Minute)
		expect(t, f.e, automation, Ready, "2 repositories of registry.invalid cannot be asked since "+began.UTC().Format("2006-01-02T15"))
		if got := eventsCalled(t, f.e, updates.EventRegistryDown); len(got) != 1 || !strings.Contains(got[0], "registry.invalid") {
			t.Errorf("events %q, want one", got)
		}
		// What it is told when the scans go well again, see images.Options.Turned.
		f.e.endAutomation(automation, &updates.Look{}, nil)
		if got := eventsCalled(t, f.e, updates.EventRegistryBack); len(got) != 1 {
			t.Errorf("events %q, want one", got)
		}
	})
}

// eventsCalled are the messages of all events with a reason.
func eventsCalled(t *testing.T, e *Engine, reason string) []string {
	t.Helper()
	var list []string
	err := e.Events(context.WithoutCancel(t.Context()), EventQuery{}, func(ev event.Event) error {
		if ev.Reason == reason {
			list = append(list, ev.Message)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}
