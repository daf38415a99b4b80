package updates

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/event"
	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/state"
)

const shopAutomation = "image_automation.shop"

// remembering is an Updater with nothing but its memory, and an automation.
func remembering(t *testing.T) *Updater {
	t.Helper()
	store, err := state.Open(t.TempDir(), state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	u := &Updater{store: store, log: slog.New(slog.DiscardHandler), memory: map[string]*memory{}}
	if err := u.Recall(shopAutomation); err != nil {
		t.Fatal(err)
	}
	return u
}

func shopConfig() config.ImageAutomation {
	return config.ImageAutomation{Block: config.Block{Address: shopAutomation}, Target: "sync.shop"}
}

// TestToldOnce: what cannot be decided, or asked, is told when it begins, when it
// changes, and when it is over, and not each time that somebody looks.
func TestToldOnce(t *testing.T) {
	u := remembering(t)
	failing := []update.Result{{ID: "shop:deployment/web", Status: update.Failed, Reason: "it is broken"}}
	worse := []update.Result{{ID: "shop:deployment/web", Status: update.Failed, Reason: "it is broken", Detail: "twice"}}
	down := map[string]string{"quay.io": "quay.io cannot be asked"}
	for i, tt := range []struct {
		look Look
		want []string
	}{
		{Look{Results: failing}, []string{EventNotDecided + " shop:deployment/web: it is broken"}},
		{Look{Results: failing}, nil},
		{Look{Results: worse, unasked: down}, []string{EventNotDecided + " shop:deployment/web: it is broken: twice", EventRegistryDown + " quay.io cannot be asked"}},
		{Look{Results: worse, unasked: down}, nil},
		{Look{}, []string{EventRegistryBack + " all repositories of quay.io can be asked again"}},
		{Look{Results: failing}, []string{EventNotDecided + " shop:deployment/web: it is broken"}},
	} {
		news, _ := u.Looked(shopAutomation, &tt.look)
		var got []string
		for _, ev := range news {
			if ev.Node != shopAutomation || ev.Severity == event.Error {
				t.Errorf("%+v", ev)
			}
			got = append(got, ev.Reason+" "+ev.Message)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("look %d (-want +got):\n%s", i, diff)
		}
	}
}

// TestFlying: what was committed is not proposed again before a run of the source
// that has seen it, nor what waits on the branch; and only as long as it is
// wanted.
func TestFlying(t *testing.T) {
	u := remembering(t)
	cfg := shopConfig()
	m := u.memory[shopAutomation]
	m.landed["web"] = landing{target: "web:2", after: 7}
	if got := u.flying(cfg, "web", "web:3", 7); got != "web:2 was committed, and the source has not been asked since" {
		t.Errorf("run 7: %q", got)
	}
	if got := u.flying(cfg, "web", "web:3", 8); got != "" {
		t.Errorf("run 8: %q", got)
	}
	cfg.Branch = "updates"
	m.offered["web"] = proposal{Target: "web:3", Branch: "updates", Revision: "rev2"}
	if got := u.flying(cfg, "web", "web:3", 8); got != "it waits on the branch updates, in rev2, to be merged" {
		t.Errorf("on the branch: %q", got)
	}
	if got := u.flying(cfg, "web", "web:4", 8); got != "" {
		t.Errorf("another image: %q", got)
	}
	wanted := &Look{wanted: map[string]bool{"web": true}}
	if _, recorded := u.Looked(shopAutomation, wanted); recorded || len(u.Record(shopAutomation).Offered) != 1 {
		t.Error("what is wanted still is forgotten")
	}
	if _, recorded := u.Looked(shopAutomation, &Look{}); !recorded || len(u.Record(shopAutomation).Offered) != 0 {
		t.Error("what is not wanted any more is remembered")
	}
}

// TestRecall: what waits on a branch outlives the process, and nothing else does.
func TestRecall(t *testing.T) {
	u := remembering(t)
	u.memory[shopAutomation].offered["web"] = proposal{Target: "web:3", Branch: "updates", Revision: "rev2"}
	u.memory[shopAutomation].trouble["web"] = "the network is down"
	if text, _ := u.Trouble(shopAutomation); text != "not written: web: the network is down" {
		t.Errorf("trouble %q", text)
	}
	record := u.Record(shopAutomation)
	if err := u.store.Write([]state.Change{Records.Change(shopAutomation, record)}); err != nil {
		t.Fatal(err)
	}
	if err := u.Recall(shopAutomation); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(record, u.Record(shopAutomation)); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
	if text, _ := u.Trouble(shopAutomation); text != "" {
		t.Errorf("trouble %q", text)
	}
}

// TestCommitMarks: only so many are kept, the newest; without one, any run that
// has seen the newest revision counts.
func TestCommitMarks(t *testing.T) {
	var m commitMarks
	for i := range maxCommitMarks + 1 {
		m.add(fmt.Sprint(i), uint64(i+1))
	}
	if len(m.runs) != maxCommitMarks || len(m.order) != maxCommitMarks {
		t.Errorf("%d marks in %d places", len(m.runs), len(m.order))
	}
	for revision, want := range map[string]uint64{"0": 8, "1": 2, "1000": 1001} {
		if got := m.lastBefore(Newest{Resolved: 9}, revision); got != want {
			t.Errorf("%s: %d, want %d", revision, got, want)
		}
	}
	if got := m.lastBefore(Newest{}, "unknown"); got != 0 {
		t.Errorf("without a run: %d", got)
	}
}
