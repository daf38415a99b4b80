package conformance

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/client"
)

// applierChecks work on the sample objects, each check as an owner of its own,
// and delete them in the end.
var applierChecks = []Check{
	{"applier-plans-nothing-for-nothing", withApplier(plansNothingForNothing)},
	{"applier-refuses-missing-objects-file", withApplier(refusesMissingObjectsFile)},
	{"applier-reads-long-lines", withApplier(readsLongLines)},
	{"applier-plan-changes-nothing", withApplier(planChangesNothing)},
	{"applier-applies-once", withApplier(appliesOnce)},
	{"applier-tells-status", withApplier(tellsStatus)},
	{"applier-watches", withApplier(applierWatches)},
	{"applier-keeps-after-incomplete-load", withApplier(keepsAfterIncompleteLoad)},
	{"applier-apply-deletes-nothing", withApplier(applyDeletesNothing)},
	{"applier-leaves-ignored-alone", withApplier(leavesIgnoredAlone)},
	{"applier-refuses-another-owners", withApplier(refusesAnotherOwners)},
	{"applier-deletes-only-its-own", withApplier(deletesOnlyItsOwn)},
	{"applier-deletes-only-what-is-named", withApplier(deletesOnlyWhatIsNamed)},
	{"applier-deletes", withApplier(deletes)},
	{"applier-remembers-across-restarts", remembersAcrossRestarts},
	{"applier-records-origins", withApplier(recordsOrigins)},
	{"applier-returns-when-cancelled", returnsWhenPlanCancelled},
	{"applier-says-when-there-is-no-secret", withApplier(saysWhenThereIsNoSecret)},
	{"applier-lists-workloads", withApplier(listsWorkloads)},
	{"applier-marks-its-owners", withApplier(marksItsOwners)},
	{"applier-follows-resources", withKeeper(followsResources)},
	{"applier-heeds-finalizers", withKeeper(heedsFinalizers)},
	{"applier-changes-only-what-is-meant", withKeeper(changesOnlyWhatIsMeant)},
	{"applier-tells-resources", withKeeper(tellsResources)},
	{"applier-says-when-there-is-no-config", withKeeper(saysWhenThereIsNoConfig)},
	{"applier-inspects-objects", withApplier(inspectsObjects)},
}

func plansNothingForNothing(t T, a *openApplier) {
	changes, summary := a.plan(t, a.set(t, nil))
	wantActions(t, changes, 0, applier.None)
	if summary.Owned != 0 {
		t.Errorf("an owner that never applied anything owns %d objects", summary.Owned)
	}
	if list := a.status(t, a.owner); len(list) > 0 {
		t.Errorf("Status of an owner that never applied anything: %v", list)
	}
}

func refusesMissingObjectsFile(t T, a *openApplier) {
	set := a.set(t, nil)
	set.Objects += ".missing"
	if _, err := a.Plan(t.Context(), set, func(applier.Change) {}); !isClean(err) {
		t.Errorf("Plan of a missing file: %v; want an error of the plugin", err)
	}
	if _, err := a.Apply(t.Context(), set, func(applier.Result) {}); !isClean(err) {
		t.Errorf("Apply of a missing file: %v; want an error of the plugin", err)
	}
}

// readsLongLines pads each line with white space, which means nothing in JSON:
// a reader that gives up at a long line must not take the rest for gone.
func readsLongLines(t T, a *openApplier) {
	const length = 2 << 20
	set := a.set(t, a.samples(t))
	short, err := os.ReadFile(set.Objects)
	if err != nil {
		t.Fatalf("%v", err)
	}
	long := bytes.ReplaceAll(short, []byte("}\n"), append(bytes.Repeat([]byte(" "), length), '}', '\n'))
	if err := os.WriteFile(set.Objects, long, 0o600); err != nil {
		t.Fatalf("%v", err)
	}
	changes, _ := a.plan(t, set)
	wantActions(t, changes, len(a.objects), applier.Create)
}

func planChangesNothing(t T, a *openApplier) {
	set := a.set(t, a.samples(t))
	for range 2 {
		changes, summary := a.plan(t, set)
		wantActions(t, changes, len(a.objects), applier.Create)
		if summary.Owned != 0 {
			t.Errorf("before any apply the owner owns %d objects", summary.Owned)
		}
	}
}

func appliesOnce(t T, a *openApplier) {
	items := a.samples(t)
	results, summary := a.apply(t, items)
	if len(results) != len(items) || summary.Owned != len(items) {
		t.Errorf("Apply of %d objects emitted %d results and owns %d", len(items), len(results), summary.Owned)
	}
	for _, r := range results {
		if r.Outcome != applier.Created {
			t.Errorf("%s: the first apply says %s, want created", r.Ref, r.Outcome)
		}
	}
	changes, summary := a.plan(t, a.set(t, items))
	wantActions(t, changes, len(items), applier.None)
	if summary.Owned != len(items) {
		t.Errorf("after the apply the owner owns %d objects, want %d", summary.Owned, len(items))
	}
	results, _ = a.apply(t, items)
	for _, r := range results {
		if r.Outcome != applier.Unchanged {
			t.Errorf("%s: the second apply says %s, want unchanged", r.Ref, r.Outcome)
		}
	}
}

func tellsStatus(t T, a *openApplier) {
	results, _ := a.apply(t, a.samples(t))
	have := map[applier.Ref]bool{}
	for _, o := range a.status(t, a.owner) {
		have[o.Ref.Identity()] = true
		if o.Health == applier.NotFound {
			t.Errorf("%s is not found right after it was applied", o.Ref)
		}
	}
	for _, r := range results {
		if !have[r.Ref.Identity()] {
			t.Errorf("Status says nothing of %s", r.Ref)
		}
	}
}

// applierWatches waits for the end of the first pass.
func applierWatches(t T, a *openApplier) {
	results, _ := a.apply(t, a.samples(t))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	seen := map[applier.Ref]bool{}
	synced := false
	err := a.Watch(ctx, a.owner, func(o applier.ObjectStatus) {
		if o.Ref == (applier.Ref{}) {
			synced = true
			cancel()
		}
		seen[o.Ref.Identity()] = true
	})
	if !synced || !errors.Is(err, context.Canceled) {
		t.Fatalf("Watch ended with %v; the first pass was complete: %t", err, synced)
	}
	for _, r := range results {
		if !seen[r.Ref.Identity()] {
			t.Errorf("the first pass of Watch leaves out %s", r.Ref)
		}
	}
}

func keepsAfterIncompleteLoad(t T, a *openApplier) {
	items := a.samples(t)
	a.apply(t, items)
	set := a.set(t, nil)
	set.Complete = false
	changes, _ := a.plan(t, set)
	wantActions(t, changes, len(items), applier.Kept)
	set.Complete = true
	changes, _ = a.plan(t, set)
	wantActions(t, changes, len(items), applier.Prune)
	a.wantAllThere(t, "plans only")
}

func applyDeletesNothing(t T, a *openApplier) {
	items := a.samples(t)
	a.apply(t, items)
	if results, summary := a.apply(t, nil); len(results) != 0 || summary.Owned != len(items) {
		t.Errorf("Apply of nothing emitted %d results and owns %d objects, want 0 and %d", len(results), summary.Owned, len(items))
	}
	a.wantAllThere(t, "an Apply of nothing")
	changes, _ := a.plan(t, a.set(t, nil))
	wantActions(t, changes, len(items), applier.Prune)
}

// leavesIgnoredAlone ignores objects that are not there yet, then ones that
// the owner has.
func leavesIgnoredAlone(t T, a *openApplier) {
	items := a.samples(t)
	ignored := slices.Clone(items)
	for i := range ignored {
		ignored[i].Ignore = "annotation sluice.dev/ignore=true in the file"
	}
	changes, _ := a.plan(t, a.set(t, ignored))
	wantActions(t, changes, len(items), applier.Ignored)
	a.apply(t, ignored)
	changes, _ = a.plan(t, a.set(t, items))
	wantActions(t, changes, len(items), applier.Create)

	a.apply(t, items)
	changes, _ = a.plan(t, a.set(t, ignored))
	wantActions(t, changes, len(items), applier.Ignored)
	a.apply(t, ignored)
	a.wantAllThere(t, "they were ignored")
}

func refusesAnotherOwners(t T, a *openApplier) {
	items := a.samples(t)
	a.apply(t, items)
	other := *a
	other.owner += "-other"
	defer other.removeAll(t)
	changes, _ := other.plan(t, other.set(t, items))
	wantActions(t, changes, len(items), applier.Refused)
	_, err := other.Apply(t.Context(), other.set(t, items), func(r applier.Result) {
		if r.Outcome != applier.Failed || r.Diagnostic == nil {
			t.Errorf("%s: Apply of what another owns says %s, want failed with a diagnostic", r.Ref, r.Outcome)
		}
	})
	if err != nil && !isClean(err) {
		t.Errorf("Apply: %v", err)
	}
	changes, _ = a.plan(t, a.set(t, items))
	wantActions(t, changes, len(items), applier.None)
}

func deletesOnlyItsOwn(t T, a *openApplier) {
	results, _ := a.apply(t, a.samples(t))
	thief := applier.Deletion{Owner: a.owner + "-other", Timeout: 10 * time.Second}
	for _, r := range results {
		thief.Refs = append(thief.Refs, r.Ref)
	}
	_, err := a.Delete(t.Context(), thief, func(r applier.Result) {
		if r.Outcome == applier.Deleted {
			t.Errorf("%s was deleted for somebody who does not own it", r.Ref)
		}
	})
	if err != nil && !isClean(err) {
		t.Errorf("Delete: %v", err)
	}
	a.wantAllThere(t, "somebody else's Delete")
}

func deletesOnlyWhatIsNamed(t T, a *openApplier) {
	items := a.samples(t)
	results, _ := a.apply(t, items)
	if len(results) < 2 {
		t.Skipf("only one sample object")
	}
	del := applier.Deletion{Owner: a.owner, Refs: []applier.Ref{results[0].Ref}, Timeout: time.Minute}
	summary, err := a.Delete(t.Context(), del, func(applier.Result) {})
	if err != nil {
		t.Fatalf("Delete: %v", err)
	}
	if want := len(items) - 1; summary.Owned != want {
		t.Errorf("Delete of 1 of %d objects leaves %d, want %d", len(items), summary.Owned, want)
	}
	for _, o := range a.status(t, a.owner) {
		if o.Ref.Identity() == results[0].Ref.Identity() || gone(o) {
			t.Errorf("after Delete of %s, %s is %s", results[0].Ref, o.Ref, o.Health)
		}
	}
}

func deletes(t T, a *openApplier) {
	items := a.samples(t)
	results, _ := a.apply(t, items)
	del := applier.Deletion{Owner: a.owner, Timeout: time.Minute}
	for _, r := range results {
		del.Refs = append(del.Refs, r.Ref)
	}
	var all collector[applier.Result]
	summary, err := a.Delete(t.Context(), del, all.add)
	if err != nil {
		t.Fatalf("Delete: %v", err)
	}
	for _, r := range all.list {
		if r.Outcome != applier.Deleted {
			t.Errorf("%s: Delete says %s (%s)", r.Ref, r.Outcome, r.Reason)
		}
	}
	if len(all.list) != len(items) || summary.Owned != 0 {
		t.Errorf("Delete of %d objects emitted %d results; the owner still owns %d", len(items), len(all.list), summary.Owned)
	}
	changes, _ := a.plan(t, a.set(t, items))
	wantActions(t, changes, len(items), applier.Create)
}

// remembersAcrossRestarts makes sure that what is owned is known from the
// target, not from the process.
func remembersAcrossRestarts(t T, s *Subject) {
	if len(s.Objects) == 0 {
		t.Skipf("no sample objects")
	}
	owner := s.newOwner()
	defer s.asOwner(t, owner, func(t T, a *openApplier) { a.removeAll(t) })
	s.asOwner(t, owner, func(t T, a *openApplier) { a.apply(t, a.objects) })
	if err := s.Close(); err != nil {
		t.Fatalf("stop the plugin: %v", err)
	}
	s.asOwner(t, owner, func(t T, a *openApplier) {
		changes, _ := a.plan(t, a.set(t, a.objects))
		wantActions(t, changes, len(a.objects), applier.None)
		changes, _ = a.plan(t, a.set(t, nil))
		wantActions(t, changes, len(a.objects), applier.Prune)
	})
}

// recordsOrigins checks what the host's guard against moved sources stands on.
func recordsOrigins(t T, a *openApplier) {
	set := a.set(t, a.samples(t))
	if _, summary := a.plan(t, set); summary.Origin != "" {
		t.Errorf("before any apply the recorded origin is %q", summary.Origin)
	}
	for _, origin := range []string{"conformance first", "conformance second"} { // the second changes nothing else
		set.Origin = origin
		if _, err := a.Apply(t.Context(), set, func(applier.Result) {}); err != nil {
			t.Fatalf("Apply: %v", err)
		}
		set.Origin = "conformance other"
		if _, summary := a.plan(t, set); summary.Origin != origin {
			t.Errorf("after an apply with the origin %q, Plan tells %q", origin, summary.Origin)
		}
	}
}

func returnsWhenPlanCancelled(t T, s *Subject) {
	o := s.open(t)
	a := &openApplier{Applier: client.NewApplier(s.caller(t, o)), owner: "conformance-cancel", objects: s.Objects}
	set := a.set(t, a.objects)
	interrupted(t, func(ctx context.Context, _ string) {
		_, _ = a.Plan(ctx, set, func(applier.Change) {})
		_ = a.Watch(ctx, a.owner, func(applier.ObjectStatus) {})
	})
	s.closed(t, o.Instance)
}

func saysWhenThereIsNoSecret(t T, a *openApplier) {
	if !slices.Contains(a.caps, applier.CanKeepSecrets) {
		t.Skipf("the applier lacks the capability %s", applier.CanKeepSecrets)
	}
	_, err := a.ReadSecret(t.Context(), applier.SecretRef{Name: "sluice-conformance-no-such", Key: "x"})
	if !errors.Is(err, applier.ErrNoSecret) {
		t.Errorf("ReadSecret of what does not exist: %v; want ErrNoSecret", err)
	}
}
