package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/event"
)

// TestEventTable: rows line up, however long a name is; what no event has takes
// no room.
func TestEventTable(t *testing.T) {
	at := time.Date(2026, 4, 1, 12, 0, 0, 0, time.Local)
	list := []event.Event{
		{Time: at, Severity: event.Info, Node: "sync.shop", Reason: "applied", Message: "all"},
		{Time: at, Severity: event.Warning, Node: "image_automation.with_a_long_name", Object: "shop:deployment/wéb", Reason: "quarantined", Message: "bad"},
	}
	show := func(list ...event.Event) string {
		var out strings.Builder
		table := eventTable{w: &out}
		for _, e := range list {
			table.widen(rowOf(e))
		}
		for _, e := range list {
			if err := table.write(rowOf(e)); err != nil {
				t.Fatal(err)
			}
		}
		return out.String()
	}
	want := `2026-04-01 12:00:00  info     sync.shop                                               applied      all
2026-04-01 12:00:00  warning  image_automation.with_a_long_name  shop:deployment/wéb  quarantined  bad
`
	if diff := cmp.Diff(want, show(list...)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff("2026-04-01 12:00:00  info  sync.shop  applied  all\n", show(list[0])); diff != "" {
		t.Error(diff)
	}
}
