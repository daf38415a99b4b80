package resources_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gitops/sluice/core/engine/resources"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/resource"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

func TestVoice(t *testing.T) {
	ann := &resource.Suspension{By: "ann", Reason: "incident"}
	made := release.Report{State: release.InSync, Action: release.ActInstall, Steps: []release.Step{{Action: release.ActInstall}}, Revision: helm.Revision{Number: 1}}
	tests := map[string]struct {
		say    func(*resources.Voice)
		status string // state, whether it is suspended and released, and why not
		events []string
	}{
		"a step":    {func(v *resources.Voice) { v.Progressed(release.Progress{Phase: release.PhaseInstalling}) }, "drifted true Unknown", nil},
		"a report":  {func(v *resources.Voice) { v.Reported(made) }, "in_sync true True", []string{resource.ReasonSynced}},
		"a look":    {func(v *resources.Voice) { v.Found(made) }, "in_sync true True", nil},
		"a wait":    {func(v *resources.Voice) { v.Waits("for others") }, "drifted true Unknown for others", nil},
		"a failure": {func(v *resources.Voice) { v.Failed(errDown) }, "drifted false False down", []string{resource.ReasonFailed}},
		"no chart":  {func(v *resources.Voice) { v.NoChart(errDown) }, "unknown false False down", nil},
		"a warning": {func(v *resources.Voice) { v.Warn(errDown) }, "", []string{resource.ReasonFailed}},
		"an end":    {func(v *resources.Voice) { v.Removing("it goes") }, "", []string{"ReleaseRemoval"}},
		"its end":   {func(v *resources.Voice) { v.Waits("for others"); v.Removed("deleted", "uninstalled") }, "", []string{"ReleaseRemoved"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				before := resource.Status{State: release.Drifted}
				c := &cluster{status: before}
				w := resources.NewWriter(c, slog.New(slog.DiscardHandler))
				tt.say(w.Voice("x", resource.Resource{UID: "1", Status: before}, ann, time.Now()))
				w.Close()
				got := ""
				for _, cond := range c.status.Conditions {
					if cond.Type == resource.Released {
						got = strings.TrimSpace(fmt.Sprintln(c.status.State, c.status.Suspended != nil, cond.Status, cond.Message))
					}
				}
				if !strings.HasPrefix(got, tt.status) || got != "" && tt.status == "" {
					t.Errorf("the status says %q, want %q", got, tt.status)
				}
				if !slices.Equal(c.events, tt.events) {
					t.Errorf("events %q, want %q", c.events, tt.events)
				}
			})
		})
		tt.say(nil) // of a release that no resource declares
	}
}

func TestSight(t *testing.T) {
	var s resources.Sight
	web := applier.Ref{Group: "g", Kind: "K", Namespace: "shop", Name: "web"}
	db := applier.Ref{Group: "g", Kind: "K", Namespace: "ops", Name: "db"}
	if s.Passing() || s.Blind(web) || s.Lacks() != nil {
		t.Error("the zero Sight does not see all")
	}
	s.Take(resources.Batch{Began: true})
	s.Saw("web", true)
	s.Problem(applier.Ref{Group: "g", Kind: "K", Namespace: "ops"}, "forbidden")
	s.Saw("gone", true)
	s.Saw("gone", false)
	if !s.Passing() || s.Missed("web", web) || s.Missed("db", db) || !s.Missed("gone", web) || !s.Missed("other", web) {
		t.Error("it misses what was there, or cannot be seen, or it does not what is gone")
	}
	s.Passed()
	if s.Passing() || !s.Blind(db) || s.Blind(web) {
		t.Error("it is blind where it sees, or sees where it is blind")
	}
	s.Problem(applier.Ref{Group: "g", Kind: "K"}, "no such kind")
	s.Take(resources.Batch{Lost: errors.New("connection\nrefused")})
	want := []string{"custom resources cannot be seen: connection refused", "g/K cannot be seen: no such kind", "g/K ops cannot be seen: forbidden"}
	if got := s.Lacks(); !slices.Equal(got, want) || !s.Blind(web) {
		t.Errorf("%q, want %q", got, want)
	}
	s.Problem(applier.Ref{Group: "g", Kind: "K"}, "")
	if s.Blind(web) {
		t.Error("it stays blind")
	}
	s.Take(resources.Batch{Began: true})
	if s.Lacks() != nil || !s.Passing() {
		t.Errorf("a new pass begins with %q", s.Lacks())
	}
}
