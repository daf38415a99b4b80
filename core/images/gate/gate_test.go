package gate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/state"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func after(d time.Duration) time.Time { return start.Add(d) }

// open opens a keeper over the store of dir, until the returned function is
// called.
func open(t *testing.T, dir string) (*Keeper, func()) {
	t.Helper()
	store, err := state.Open(dir, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	k, err := Open(store)
	if err != nil {
		t.Fatal(err)
	}
	return k, func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestSoakSurvives(t *testing.T) {
	dir := t.TempDir()
	k, end := open(t, dir)
	web, api := Candidate{"a web", "web:2"}, Candidate{"a api", "api:2"}
	since := func(k *Keeper, at time.Time, list ...Candidate) []time.Time {
		t.Helper()
		got, err := k.Since(list, at)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	since(k, start, web)
	end()
	k, end = open(t, dir)
	defer end()
	if diff := cmp.Diff([]time.Time{start, after(time.Hour)}, since(k, after(time.Hour), web, api)); diff != "" {
		t.Error(diff)
	}
	// A newer one begins anew; the old one, should it come back, does not.
	newer := Candidate{"a web", "web:3"}
	if diff := cmp.Diff([]time.Time{after(2 * time.Hour)}, since(k, after(2*time.Hour), newer)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]time.Time{start}, since(k, after(3*time.Hour), web)); diff != "" {
		t.Error(diff)
	}
	for i := range 2 * maxSoaking {
		since(k, after(4*time.Hour+time.Duration(i)*time.Minute), Candidate{"a web", fmt.Sprint("web:", 10+i)})
	}
	if n := len(k.soaking["a web"]); n != maxSoaking {
		t.Errorf("%d targets are remembered, want %d", n, maxSoaking)
	}
	both := func(string) bool { return true }
	if err := k.Tidy(after(5*time.Hour), both); err != nil || len(k.soaking) != 2 {
		t.Errorf("what is selected since a short time is forgotten: %v, %v", k.soaking, err)
	}
	if err := k.Tidy(after(26*time.Hour), both); err != nil || len(k.soaking) != 1 || k.soaking["a web"] == nil {
		t.Errorf("what nobody selects stays: %v, %v", k.soaking, err)
	}
	if err := k.Forget(func(sub string) bool { return sub == "a web" }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]time.Time{after(9 * time.Hour), after(9 * time.Hour)}, since(k, after(9*time.Hour), web, api)); diff != "" {
		t.Error(diff)
	}
}

func TestObserve(t *testing.T) {
	watch := Watch{Sync: "sync.shop", Workload: "shop:deployment/web", Container: "main", From: "web:1", To: "web:2", Timeout: 10 * time.Minute, Committed: start}
	seen := watch
	seen.Applied, seen.Seen, seen.Looked = after(time.Minute), after(time.Minute), after(2*time.Minute)
	almost := seen
	almost.Watched = seen.Timeout - 5*time.Second
	phase := func(p applier.Phase) applier.Rollout { return applier.Rollout{Phase: p, Message: "m", Desired: 2} }
	for name, tc := range map[string]struct {
		watch   Watch
		o       Observation
		verdict Verdict
		reason  string
	}{
		"not applied": {watch, Observation{At: after(time.Hour)}, Pending, "waits for sync.shop to apply it"},
		"applied, not there yet": {watch, Observation{At: after(time.Hour), Applied: true, Found: true, Image: "web:1"},
			Pending, "rolling out: 0 of 0 updated, 0 ready"},
		"rolling out": {seen, Observation{At: after(2 * time.Minute), Applied: true, Found: true, Image: "web:2", Rollout: phase(applier.RolloutUpdating)},
			Pending, "rolling out: 0 of 2 updated, 0 ready: m"},
		"the old rollout has failed": {watch, Observation{At: after(time.Minute), Applied: true, Found: true, Image: "web:1", Rollout: phase(applier.RolloutFailed)},
			Pending, "rolling out: 0 of 2 updated, 0 ready: m"},
		"ready at once": {watch, Observation{At: after(time.Minute), Applied: true, Found: true, Image: "web:2", Rollout: phase(applier.RolloutReady)}, Healthy, ""},
		"ready late":    {seen, Observation{At: after(time.Hour), Applied: true, Found: true, Image: "web:2", Rollout: phase(applier.RolloutReady)}, Healthy, ""},
		"fails":         {seen, Observation{At: after(2 * time.Minute), Found: true, Image: "web:2", Rollout: phase(applier.RolloutFailed)}, Failed, "the rollout failed: m"},
		"stalls": {seen, Observation{At: after(2 * time.Minute), Found: true, Image: "web:2", Stalled: "no quota", Rollout: phase(applier.RolloutUpdating)},
			Failed, "it will not become ready: no quota"},
		"the clock has leapt": {seen, Observation{At: after(100 * time.Hour), Found: true, Image: "web:2", Rollout: phase(applier.RolloutUpdating)},
			Pending, "rolling out: 0 of 2 updated, 0 ready: m"},
		"the clock was put back": {almost, Observation{At: after(-time.Hour), Found: true, Image: "web:2", Rollout: phase(applier.RolloutUpdating)},
			Pending, "rolling out: 0 of 2 updated, 0 ready: m"},
		"too late": {almost, Observation{At: after(2*time.Minute + 5*time.Second), Found: true, Image: "web:2", Rollout: phase(applier.RolloutUpdating)},
			Failed, "not ready 10m0s after it was applied: 0 of 2 updated, 0 ready: m"},
		"somebody else's image": {seen, Observation{At: after(2 * time.Minute), Found: true, Image: "web:3"}, Overtaken, "web:3 runs there now"},
		"gone":                  {seen, Observation{At: after(2 * time.Minute)}, Overtaken, "no such workload runs there now"},
	} {
		t.Run(name, func(t *testing.T) {
			_, verdict, reason := tc.watch.Observe(tc.o)
			if verdict != tc.verdict || reason != tc.reason {
				t.Errorf("%s: %q, want %s: %q", verdict, reason, tc.verdict, tc.reason)
			}
		})
	}
	// An image that the cluster never had is not blamed.
	late := watch
	late.Applied, late.Looked, late.Watched = start, start, late.Timeout
	if _, verdict, _ := late.Observe(Observation{At: after(time.Hour), Applied: true, Found: true, Image: "web:1"}); verdict != Overtaken {
		t.Errorf("never there: %s", verdict)
	}
	next, _, _ := watch.Observe(Observation{At: after(time.Minute), Applied: true, Found: true, Image: "web:2"})
	if next.Applied != after(time.Minute) || next.Seen != after(time.Minute) || next.Looked != after(time.Minute) || next.Watched != 0 {
		t.Errorf("%+v", next)
	}
}

func TestWatches(t *testing.T) {
	dir := t.TempDir()
	k, end := open(t, dir)
	old := Watch{Sync: "sync.shop", Workload: "shop:deployment/web", Container: "main", To: "web:2", Revision: "r2"}
	newer := old
	newer.To, newer.Revision = "web:3", "r3"
	other := Watch{Sync: "sync.ops", Workload: "ops:deployment/cron", Container: "main", To: "cron:2", Revision: "r2"}
	for _, list := range [][]Watch{{old, other}, {newer}} {
		if err := k.Follow(list...); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.Drop(old); err != nil { // whoever looked at the old one knows nothing of the newer
		t.Fatal(err)
	}
	end()
	k, end = open(t, dir)
	defer end()
	if diff := cmp.Diff([]Watch{newer}, k.Watches("sync.shop")); diff != "" {
		t.Error(diff)
	}
	if err := k.Drop(newer); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Watch{other}, k.Watches("")); diff != "" {
		t.Error(diff)
	}
}

// TestSettle: a look goes on with some watches and ends others at once, but for
// those whose place a later update has taken meanwhile.
func TestSettle(t *testing.T) {
	dir := t.TempDir()
	k, end := open(t, dir)
	watch := func(name, revision string) Watch {
		return Watch{Sync: "sync.shop", Workload: "shop:deployment/" + name, Container: "main", To: name + ":2", Revision: revision}
	}
	goesOn, ends, taken, gone := watch("api", "r1"), watch("db", "r1"), watch("web", "r2"), watch("zoo", "r1")
	if err := k.Follow(goesOn, ends, taken); err != nil {
		t.Fatal(err)
	}
	goesOn.Seen = start
	stale := watch("web", "r1")
	stale.Seen = start
	if err := k.Settle([]Watch{goesOn, stale, gone}, []Watch{ends}); err != nil {
		t.Fatal(err)
	}
	if err := k.Settle(nil, []Watch{stale}); err != nil {
		t.Fatal(err)
	}
	want := []Watch{goesOn, taken}
	if diff := cmp.Diff(want, k.Watches("")); diff != "" {
		t.Error(diff)
	}
	end()
	k, end = open(t, dir)
	defer end()
	if diff := cmp.Diff(want, k.Watches("")); diff != "" {
		t.Error("on disk: " + diff)
	}
}

func TestQuarantine(t *testing.T) {
	dir := t.TempDir()
	k, end := open(t, dir)
	const web = "quay.io/acme/web"
	list := []Quarantine{
		{Repository: web, Tag: "1", Digest: "sha256:a", Reason: "it crashes", Since: start},
		{Repository: web, Tag: "2", Reason: "it hangs", Since: start},
	}
	for _, q := range list {
		if err := k.Quarantine(q); err != nil {
			t.Fatal(err)
		}
	}
	end()
	k, end = open(t, dir)
	defer end()
	for _, tc := range []struct{ tag, digest, want string }{
		{"1", "sha256:a", "it crashes (since 2026-03-01T12:00:00Z)"},
		{"1", "", "it crashes (since 2026-03-01T12:00:00Z)"},
		{"1", "sha256:b", ""}, // it was built anew
		{"2", "sha256:b", "it hangs (since 2026-03-01T12:00:00Z)"},
		{"3", "", ""},
	} {
		if got := k.Reason("sync.shop", web, tc.tag, tc.digest); got != tc.want {
			t.Errorf("%s@%s: %q, want %q", tc.tag, tc.digest, got, tc.want)
		}
	}
	if got, err := k.Lift(web, "1"); err != nil || !cmp.Equal(got, list[:1]) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := k.Lift("quay.io/acme/other", ""); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
	if diff := cmp.Diff(list[1:], k.Quarantined()); diff != "" {
		t.Error(diff)
	}
	if got, err := k.Lift(web, ""); err != nil || len(got) != 1 || len(k.Quarantined()) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}

// What fails in one sync is kept from no other.
func TestQuarantineOfOneSync(t *testing.T) {
	const web = "quay.io/acme/web"
	dir := t.TempDir()
	k, end := open(t, dir)
	for _, q := range []Quarantine{
		{Repository: web, Tag: "2", Sync: "sync.shop", Digest: "sha256:1", Reason: "here", Since: start},
		{Repository: web, Tag: "2", Sync: "sync.yard", Reason: "there", Since: start},
		{Repository: web, Tag: "3", Reason: "anywhere", Since: start},
	} {
		if err := k.Quarantine(q); err != nil {
			t.Fatal(err)
		}
	}
	end()
	k, end = open(t, dir)
	defer end()
	for _, tc := range []struct{ sync, tag, digest, want string }{
		{"sync.shop", "2", "sha256:1", "here"},
		{"sync.shop", "2", "sha256:2", ""}, // built anew
		{"sync.yard", "2", "sha256:2", "there"},
		{"sync.other", "2", "sha256:1", ""},
		{"sync.other", "3", "", "anywhere"},
	} {
		if got, _, _ := strings.Cut(k.Reason(tc.sync, web, tc.tag, tc.digest), " (since"); got != tc.want {
			t.Errorf("%+v: %q", tc, got)
		}
	}
	if lifted, err := k.Lift(web, "2"); err != nil || len(lifted) != 2 || k.Reason("sync.shop", web, "2", "") != "" {
		t.Errorf("%+v, %v", lifted, err)
	}
}
