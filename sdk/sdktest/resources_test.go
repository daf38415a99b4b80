package sdktest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/sdktest"
)

// keeping is what the target in memory knows of an object beside its content.
type keeping struct {
	uid        string
	finalizers []string
	deleting   bool
	status     map[string]any
}

// keep returns what is known of an object that exists. The caller holds the
// lock.
func (m *target) keep(ref applier.Ref) *keeping {
	if m.kept[ref] == nil {
		m.kept[ref] = &keeping{uid: fmt.Sprintf("uid-%d", time.Now().UnixNano()), status: map[string]any{}}
	}
	return m.kept[ref]
}

// remove deletes an object once no finalizer is left. The caller holds the
// lock, which is free while it waits.
func (m *target) remove(ctx context.Context, ref applier.Ref) error {
	k := m.keep(ref)
	k.deleting = true
	for len(k.finalizers) > 0 {
		m.notify()
		changed := m.changed
		m.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		m.mu.Lock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	delete(m.objects, ref)
	delete(m.kept, ref)
	return nil
}

// resources are the objects of some kinds. The caller holds the lock.
func (m *target) resources(f applier.ResourceFilter) (map[applier.Ref]applier.Resource, error) {
	found := map[applier.Ref]applier.Resource{}
	for ref := range m.objects {
		if !slices.Contains(f.Kinds, applier.VersionedKind{Group: ref.Group, Version: ref.Version, Kind: ref.Kind}) {
			continue
		}
		r, err := m.resource(ref)
		if err != nil {
			return nil, err
		}
		found[ref] = r
	}
	return found, nil
}

func (m *target) resource(ref applier.Ref) (applier.Resource, error) {
	k := m.keep(ref)
	object := maps.Clone(m.objects[ref].object)
	object["status"], object["finalizers"] = k.status, k.finalizers
	text, err := json.Marshal(object)
	return applier.Resource{Ref: ref, UID: k.uid, Generation: 1, Object: text, Deleting: k.deleting}, err
}

func (m *target) Follow(ctx context.Context, f applier.ResourceFilter, emit func(applier.Resource)) error {
	said := map[applier.Ref]applier.Resource{}
	for first := true; ; first = false {
		m.mu.Lock()
		changed := m.changed
		now, err := m.resources(f)
		m.mu.Unlock()
		if err != nil {
			return err
		}
		for _, ref := range slices.SortedFunc(maps.Keys(now), byName) {
			if !cmp.Equal(said[ref], now[ref]) {
				emit(now[ref])
			}
		}
		for ref, r := range said {
			if now[ref].UID != r.UID {
				emit(applier.Resource{Ref: ref, UID: r.UID, Deleted: true})
			}
		}
		said = now
		if first {
			unserved(f, now, emit)
			emit(applier.Resource{})
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// unserved emits the kinds of which there is nothing.
func unserved(f applier.ResourceFilter, now map[applier.Ref]applier.Resource, emit func(applier.Resource)) {
	for _, k := range f.Kinds {
		ref := applier.Ref{Group: k.Group, Version: k.Version, Kind: k.Kind}
		if !slices.ContainsFunc(slices.Collect(maps.Keys(now)), func(r applier.Ref) bool { return r.Group == k.Group && r.Kind == k.Kind }) {
			emit(applier.Resource{Ref: ref, Deleted: true})
		}
	}
}

func (m *target) PatchResource(_ context.Context, p applier.ResourcePatch) (applier.Resource, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, exists := m.objects[p.Ref]; !exists || m.keep(p.Ref).uid != p.UID {
		return applier.Resource{}, fmt.Errorf("%s: %w", p.Ref, applier.ErrNoResource)
	}
	k := m.keep(p.Ref)
	if p.AddFinalizer != "" {
		k.finalizers = append(k.finalizers, p.AddFinalizer)
	}
	if len(p.Status) > 0 {
		if err := json.Unmarshal(p.Status, &k.status); err != nil {
			return applier.Resource{}, err
		}
	}
	k.finalizers = slices.DeleteFunc(slices.Clone(k.finalizers), func(s string) bool { return s == p.RemoveFinalizer })
	m.notify()
	return m.resource(p.Ref)
}

func (m *target) TellResource(_ context.Context, e applier.ResourceEvent) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told[e]++
	return nil
}

func (m *target) ReadConfig(_ context.Context, ref applier.ConfigRef) (string, error) {
	if ref != (applier.ConfigRef{Namespace: "shop", Name: "values", Key: "values.yaml"}) {
		return "", fmt.Errorf("%s: %w", ref.Name, applier.ErrNoConfig)
	}
	return "a: 1\n", nil
}

func TestApplierKeepsResources(t *testing.T) {
	ctx := t.Context()
	m := newTarget()
	web := applier.Ref{Kind: "HelmRelease", Name: "web"}
	m.objects[web] = stored{"shop", map[string]any{"kind": "HelmRelease"}}
	a := sdktest.New(t, m.plugin(), sdktest.Options{}).Applier("memory", nil)

	follow, stop := context.WithCancel(ctx)
	var seen []applier.Resource
	filter := applier.ResourceFilter{Kinds: []applier.VersionedKind{{Kind: "HelmRelease"}}, Namespaces: []string{"shop"}}
	err := a.Follow(follow, filter, func(r applier.Resource) {
		if seen = append(seen, r); r.Ref == (applier.Ref{}) {
			stop()
		}
	})
	if !errors.Is(err, context.Canceled) || len(seen) != 2 || seen[0].Ref != web || seen[0].UID == "" {
		t.Fatalf("Follow: %v, emitted %+v", err, seen)
	}
	p := applier.ResourcePatch{Ref: web, UID: seen[0].UID, Status: json.RawMessage(`{"phase":"Installing"}`), AddFinalizer: "sluice.dev/release"}
	r, err := a.PatchResource(ctx, p)
	if want := `{"finalizers":["sluice.dev/release"],"kind":"HelmRelease","status":{"phase":"Installing"}}`; err != nil || string(r.Object) != want {
		t.Errorf("PatchResource = %s, %v; want %s", r.Object, err, want)
	}
	p.UID = "another"
	if _, err := a.PatchResource(ctx, p); !errors.Is(err, applier.ErrNoResource) {
		t.Errorf("PatchResource of another object: %v", err)
	}
	e := applier.ResourceEvent{Ref: web, UID: "u", Warning: true, Reason: "FailedReleaseSync", Message: "no such chart"}
	if err := a.TellResource(ctx, e); err != nil || m.told[e] != 1 {
		t.Errorf("TellResource: %v, %v", err, m.told)
	}
	ref := applier.ConfigRef{Namespace: "shop", Name: "values", Key: "values.yaml"}
	if value, err := a.ReadConfig(ctx, ref); err != nil || value != "a: 1\n" {
		t.Errorf("ReadConfig = %q, %v", value, err)
	}
	ref.Key = "other"
	if _, err := a.ReadConfig(ctx, ref); !errors.Is(err, applier.ErrNoConfig) {
		t.Errorf("ReadConfig of another key: %v", err)
	}
}

// Inspect finds objects; their annotations are in "annotations".
func (m *target) Inspect(_ context.Context, q applier.Inquiry) (applier.Inspected, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for ref, s := range m.objects {
		if !strings.EqualFold(ref.Kind, q.Kind) || ref.Name != q.Name || ref.Namespace != q.Namespace || !strings.HasPrefix(ref.Group, q.Group) {
			continue
		}
		found := applier.Inspected{Ref: ref, Annotations: map[string]string{}}
		has, _ := s.object["annotations"].(map[string]string)
		for _, name := range q.Annotations {
			if value, ok := has[name]; ok {
				found.Annotations[name] = value
			}
		}
		return found, nil
	}
	return applier.Inspected{}, fmt.Errorf("%s/%s: %w", q.Kind, q.Name, applier.ErrNoResource)
}

func TestApplierInspects(t *testing.T) {
	m := newTarget()
	web := applier.Ref{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "web"}
	m.objects[web] = stored{"shop", map[string]any{"annotations": map[string]string{"a": "1", "b": "2"}}}
	a := sdktest.New(t, m.plugin(), sdktest.Options{}).Applier("memory", nil)
	q := applier.Inquiry{Kind: "deployment", Group: "ap", Namespace: "shop", Name: "web", Annotations: []string{"b", "c"}}
	found, err := a.Inspect(t.Context(), q)
	if diff := cmp.Diff(applier.Inspected{Ref: web, Annotations: map[string]string{"b": "2"}}, found); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	q.Name = "other"
	if _, err := a.Inspect(t.Context(), q); !errors.Is(err, applier.ErrNoResource) {
		t.Errorf("Inspect of what is not there: %v", err)
	}
}
