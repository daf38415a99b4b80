package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// patience bounds each wait for what a target does on its own.
const patience = time.Minute

// withKeeper runs a check on an applier that keeps resources.
func withKeeper(check func(t T, a *openApplier)) func(T, *Subject) {
	return withApplier(func(t T, a *openApplier) {
		if !slices.Contains(a.caps, applier.CanKeepResources) {
			t.Skipf("the applier lacks the capability %s", applier.CanKeepResources)
		}
		check(t, a)
	})
}

// followsResources looks at the sample objects beside a kind that nobody knows.
func followsResources(t T, a *openApplier) {
	results, _ := a.apply(t, a.samples(t))
	missing := applier.VersionedKind{Group: "conformance.sluice.dev", Version: "v1", Kind: "NoSuch"}
	f := a.follow(t, append(kindsOf(results), missing))
	defer f.end(t)
	if !f.until(func(r applier.Resource) bool { return r.Ref == applier.Ref{} }) {
		t.Fatalf("Follow: no end of the first pass within %s", patience)
	}
	first := maps.Clone(f.newest)
	if !first[applier.Ref{Group: missing.Group, Kind: missing.Kind}].Deleted {
		t.Errorf("the first pass of Follow does not say that %s of %s is not served", missing.Kind, missing.Group)
	}
	for _, r := range results {
		have, there := first[r.Ref.Identity()]
		if !there || have.UID == "" || !json.Valid(have.Object) {
			t.Fatalf("the first pass of Follow has %s as %+v, want it with a UID and as JSON", r.Ref, have)
		}
	}
	a.removeAll(t)
	gone := func(r applier.Result) bool {
		now := f.newest[r.Ref.Identity()]
		return now.Deleted && now.UID == first[r.Ref.Identity()].UID
	}
	left := func() []applier.Result { return slices.DeleteFunc(slices.Clone(results), gone) }
	if !f.until(func(applier.Resource) bool { return len(left()) == 0 }) {
		t.Errorf("Follow does not say that %s was deleted", left()[0].Ref)
	}
}

// heedsFinalizers deletes an object that has one.
func heedsFinalizers(t T, a *openApplier) {
	const finalizer = "conformance.sluice.dev/hold"
	results, _ := a.apply(t, a.samples(t)[:1])
	f := a.follow(t, kindsOf(results))
	defer f.end(t)
	ref := results[0].Ref.Identity()
	is := func(r applier.Resource) bool { return r.Ref.Identity() == ref }
	if !f.until(is) {
		t.Fatalf("Follow does not emit %s", ref)
	}
	p := applier.ResourcePatch{Ref: f.newest[ref].Ref, UID: f.newest[ref].UID, AddFinalizer: finalizer}
	if _, err := a.PatchResource(t.Context(), p); err != nil {
		t.Fatalf("PatchResource: %v", err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		del := applier.Deletion{Owner: a.owner, Refs: []applier.Ref{ref}, Timeout: patience}
		_, _ = a.Delete(t.Context(), del, func(applier.Result) {}) // what Follow says of it counts
	})
	defer wg.Wait()
	held := f.until(func(r applier.Resource) bool { return is(r) && (r.Deleting || r.Deleted) })
	if now := f.newest[ref]; !held || now.Deleted {
		t.Fatalf("an object with a finalizer was not held when it was deleted: %+v", now)
	}
	p.AddFinalizer, p.RemoveFinalizer = "", finalizer
	if _, err := a.PatchResource(t.Context(), p); err != nil && !errors.Is(err, applier.ErrNoResource) {
		t.Errorf("PatchResource: %v", err)
	}
	if !f.until(func(r applier.Resource) bool { return is(r) && r.Deleted }) {
		t.Errorf("an object whose deletion waited for its finalizer was not gone without it")
	}
}

// changesOnlyWhatIsMeant asks for changes of what is not there.
func changesOnlyWhatIsMeant(t T, a *openApplier) {
	results, _ := a.apply(t, a.samples(t)[:1])
	missing := results[0].Ref
	missing.Name += "-conformance-no-such"
	for _, ref := range []applier.Ref{results[0].Ref, missing} {
		p := applier.ResourcePatch{Ref: ref, UID: "conformance-no-such", Status: json.RawMessage(`{"conformance": "no such"}`)}
		if _, err := a.PatchResource(t.Context(), p); !errors.Is(err, applier.ErrNoResource) {
			t.Errorf("PatchResource of %s with a UID that it does not have: %v; want ErrNoResource", ref, err)
		}
	}
}

func tellsResources(t T, a *openApplier) {
	results, _ := a.apply(t, a.samples(t)[:1])
	for range 2 {
		e := applier.ResourceEvent{Ref: results[0].Ref, UID: "conformance", Reason: "Conformance", Message: "a check of the plugin"}
		if err := a.TellResource(t.Context(), e); err != nil {
			t.Errorf("TellResource: %v", err)
		}
	}
}

func saysWhenThereIsNoConfig(t T, a *openApplier) {
	_, err := a.ReadConfig(t.Context(), applier.ConfigRef{Name: "sluice-conformance-no-such", Key: "x"})
	if !errors.Is(err, applier.ErrNoConfig) {
		t.Errorf("ReadConfig of what does not exist: %v; want ErrNoConfig", err)
	}
}

func kindsOf(results []applier.Result) []applier.VersionedKind {
	var kinds []applier.VersionedKind
	for _, r := range results {
		k := applier.VersionedKind{Group: r.Ref.Group, Version: r.Ref.Version, Kind: r.Ref.Kind}
		if !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// followed is a Follow under way.
type followed struct {
	emitted chan applier.Resource
	cancel  context.CancelFunc
	done    chan error
	newest  map[applier.Ref]applier.Resource // of each object, of what was taken
}

func (a *openApplier) follow(t T, kinds []applier.VersionedKind) *followed {
	ctx, cancel := context.WithCancel(t.Context())
	f := &followed{emitted: make(chan applier.Resource), cancel: cancel, done: make(chan error, 1), newest: map[applier.Ref]applier.Resource{}}
	go func() {
		f.done <- a.Follow(ctx, applier.ResourceFilter{Kinds: kinds}, func(r applier.Resource) {
			select {
			case f.emitted <- r:
			case <-ctx.Done():
			}
		})
	}()
	return f
}

// until takes what is emitted, up to the first that matches; false if none
// does in time.
func (f *followed) until(match func(applier.Resource) bool) bool {
	limit := time.After(patience)
	for {
		select {
		case r := <-f.emitted:
			f.newest[r.Ref.Identity()] = r
			if match(r) {
				return true
			}
		case <-limit:
			return false
		}
	}
}

func (f *followed) end(t T) {
	f.cancel()
	select {
	case err := <-f.done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Follow ended with %v, want the cancellation", err)
		}
	case <-time.After(patience):
		t.Errorf("Follow did not end %s after it was cancelled", patience)
	}
}
