package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

const (
	finalizer  = "sluice.dev/release"
	definition = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.GROUP}
spec:
  group: GROUP
  scope: Namespaced
  names: {plural: boats, singular: boat, kind: Boat, listKind: BoatList}
  versions:
  - name: v1
    served: true
    storage: true
    SUBRESOURCES
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`
)

// harbour is a kind of custom resources of a test's own.
type harbour struct {
	*target
	group, namespace string
}

// newHarbour names a kind that is not served yet.
func newHarbour(t *testing.T, target *target) *harbour {
	t.Helper()
	ns := makeNamespace(t, target)
	h := &harbour{target, ns + ".example.com", ns}
	t.Cleanup(func() { h.raze(t) })
	return h
}

func (h *harbour) manifest(status bool) string {
	sub := "subresources: {status: {}}"
	if !status {
		sub = "subresources: {}"
	}
	return strings.NewReplacer("GROUP", h.group, "SUBRESOURCES", sub).Replace(definition)
}

// define serves the kind.
func (h *harbour) define(t *testing.T, status bool) {
	t.Helper()
	if _, err := h.crds().Create(t.Context(), decodeYAML(t, h.manifest(status)), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the definition to be served", func() (bool, string) {
		_, err := h.boats().List(t.Context(), metav1.ListOptions{})
		return err == nil, fmt.Sprint(err)
	})
}

func (h *harbour) crds() dynamic.ResourceInterface {
	return h.client.Dynamic.Resource(gvr("apiextensions.k8s.io", "v1", "customresourcedefinitions"))
}

func (h *harbour) undefine(t *testing.T) {
	t.Helper()
	if err := h.crds().Delete(t.Context(), "boats."+h.group, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// raze frees what finalizers hold and removes the definition.
func (h *harbour) raze(t *testing.T) {
	ctx := ctxOf(t)
	_ = h.crds().Delete(ctx, "boats."+h.group, metav1.DeleteOptions{})
	list, err := h.client.Dynamic.Resource(gvr(h.group, "v1", "boats")).List(ctx, metav1.ListOptions{})
	for i := 0; err == nil && i < len(list.Items); i++ {
		_, _ = h.boatsIn(list.Items[i].GetNamespace()).Patch(ctx, list.Items[i].GetName(), types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
	}
}

func (h *harbour) boats() dynamic.ResourceInterface { return h.boatsIn(h.namespace) }

func (h *harbour) boatsIn(ns string) dynamic.ResourceInterface {
	return h.client.Dynamic.Resource(gvr(h.group, "v1", "boats")).Namespace(ns)
}

func crdKind(h *harbour) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: h.group, Version: "v1", Kind: "Boat"}
}

func (h *harbour) kinds() []applier.VersionedKind {
	return []applier.VersionedKind{{Group: h.group, Version: "v1", Kind: "Boat"}}
}

func (h *harbour) boat(name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": h.group + "/v1", "kind": "Boat", "spec": map[string]any{"sails": int64(2)}}}
	u.SetNamespace(h.namespace)
	u.SetName(name)
	return u
}

func (h *harbour) build(t *testing.T, name string, finalizers ...string) *unstructured.Unstructured {
	t.Helper()
	u := h.boat(name)
	u.SetFinalizers(finalizers)
	u, err := h.boats().Create(t.Context(), u, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func (h *harbour) sink(t *testing.T, name string) {
	t.Helper()
	if err := h.boats().Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// patch is a patch of u without content.
func (h *harbour) patch(u *unstructured.Unstructured) applier.ResourcePatch {
	return applier.ResourcePatch{
		Ref: applier.Ref{Group: h.group, Version: "v1", Kind: "Boat", Namespace: u.GetNamespace(), Name: u.GetName()},
		UID: string(u.GetUID()),
	}
}

func (h *harbour) release(t *testing.T, r applier.Resource) {
	t.Helper()
	r, err := h.PatchResource(t.Context(), applier.ResourcePatch{Ref: r.Ref, UID: r.UID, RemoveFinalizer: finalizer})
	if err != nil || !r.Deleting {
		t.Errorf("remove the finalizer: %+v, %v", r, err)
	}
}

// log is what Follow emits.
type log struct {
	mu     sync.Mutex
	list   []applier.Resource
	taken  int
	change chan struct{}
	end    func()
}

// following runs Follow until the test ends or end is called.
func following(t *testing.T, k applier.ResourceKeeper, filter applier.ResourceFilter) *log {
	t.Helper()
	l := &log{change: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- k.Follow(ctx, filter, l.add) }()
	l.end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Follow: %v", err)
		}
	})
	t.Cleanup(l.end)
	return l
}

func (l *log) add(r applier.Resource) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, r)
	select {
	case l.change <- struct{}{}:
	default:
	}
}

// until takes what was emitted, up to the first that matches.
func (l *log) until(t *testing.T, what string, match func(applier.Resource) bool) applier.Resource {
	t.Helper()
	limit := time.After(90 * time.Second)
	for {
		if r, ok := l.take(match); ok {
			return r
		}
		select {
		case <-l.change:
		case <-limit:
			t.Fatalf("waited in vain for %s; emitted: %s", what, l)
		}
	}
}

func (l *log) take(match func(applier.Resource) bool) (applier.Resource, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.taken < len(l.list) {
		r := l.list[l.taken]
		l.taken++
		if match(r) {
			return r, true
		}
	}
	return applier.Resource{}, false
}

func (l *log) synced(t *testing.T) {
	t.Helper()
	l.until(t, "the end of the first pass", func(r applier.Resource) bool { return r.Ref == applier.Ref{} })
}

func (l *log) all() []applier.Resource {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]applier.Resource(nil), l.list...)
}

func (l *log) String() string {
	var out strings.Builder
	for _, r := range l.all() {
		fmt.Fprintf(&out, "\n  %s %s deleted=%t deleting=%t definition=%t namespace=%t problem=%q", r.Ref, r.UID, r.Deleted, r.Deleting, r.DefinitionDeleting, r.NamespaceDeleting, r.Problem)
	}
	return out.String()
}

func there(name string) func(applier.Resource) bool {
	return func(r applier.Resource) bool { return r.Ref.Name == name && !r.Deleted && !r.Deleting }
}

func deleting(name string) func(applier.Resource) bool {
	return func(r applier.Resource) bool { return r.Ref.Name == name && r.Deleting }
}

func deleted(name string) func(applier.Resource) bool {
	return func(r applier.Resource) bool { return r.Ref.Name == name && r.Deleted }
}

// TestFollow sees a kind come, change and go.
func TestFollow(t *testing.T) {
	t.Parallel()
	h := newHarbour(t, realTarget(t, Config{}))
	l := following(t, h, applier.ResourceFilter{Kinds: append(h.kinds(), applier.VersionedKind{Group: h.group, Version: "v1", Kind: "Raft"})})
	l.synced(t)
	h.define(t, true)
	mary := h.build(t, "mary")
	first := l.until(t, "the first object of a kind that has come", there("mary"))
	if first.UID != string(mary.GetUID()) || first.Generation != 1 || first.Ref != h.patch(mary).Ref {
		t.Errorf("emitted %+v", first)
	}
	var object map[string]any
	if err := json.Unmarshal(first.Object, &object); err != nil || strings.Contains(string(first.Object), "managedFields") {
		t.Errorf("object %s: %v", first.Object, err)
	}
	if sails, _, _ := unstructured.NestedFloat64(object, "spec", "sails"); sails != 2 {
		t.Errorf("object %s", first.Object)
	}
	if _, err := h.boats().Patch(t.Context(), "mary", types.MergePatchType, []byte(`{"spec":{"sails":3}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	l.until(t, "a change", func(r applier.Resource) bool { return r.Generation == 2 })

	held := h.build(t, "held", finalizer)
	h.sink(t, "held")
	going := l.until(t, "a deletion that a finalizer holds", deleting("held"))
	if going.DefinitionDeleting || going.NamespaceDeleting || len(going.Object) == 0 {
		t.Errorf("deleting: %+v", going)
	}
	h.release(t, going)
	if gone := l.until(t, "its end", deleted("held")); gone.UID != string(held.GetUID()) || len(gone.Object) > 0 {
		t.Errorf("deleted: %+v", gone)
	}
}

// TestFollowDefinitionGoes deletes the definition under objects that finalizers
// hold, and defines it anew.
func TestFollowDefinitionGoes(t *testing.T) {
	t.Parallel()
	h := newHarbour(t, realTarget(t, Config{}))
	h.define(t, true)
	h.build(t, "free")
	h.build(t, "held", finalizer)
	l := following(t, h, applier.ResourceFilter{Kinds: h.kinds()})
	l.synced(t)
	h.undefine(t)
	going := l.until(t, "the deletion", deleting("held"))
	if !going.DefinitionDeleting || going.NamespaceDeleting {
		t.Errorf("deleting: %+v", going)
	}
	late := following(t, h, applier.ResourceFilter{Kinds: h.kinds()}) // as after a restart
	if r := late.until(t, "the deletion", deleting("held")); !r.DefinitionDeleting {
		t.Errorf("deleting: %+v", r)
	}
	status, err := h.PatchResource(t.Context(), applier.ResourcePatch{Ref: going.Ref, UID: going.UID, Status: json.RawMessage(`{"phase":"Kept"}`)})
	if err != nil || !status.DefinitionDeleting {
		t.Errorf("status of what is being deleted: %+v, %v", status, err)
	}
	h.release(t, going)
	if r := l.until(t, "the end", deleted("held")); !r.DefinitionDeleting {
		t.Errorf("deleted: %+v", r)
	}
	eventually(t, "the definition to be gone", func() (bool, string) {
		_, err := h.crds().Get(t.Context(), "boats."+h.group, metav1.GetOptions{})
		return err != nil, fmt.Sprint(err)
	})
	h.define(t, true)
	h.build(t, "again")
	l.until(t, "an object of the new definition", there("again"))
	late.until(t, "an object of the new definition", there("again"))
	h.build(t, "held", finalizer)
	h.sink(t, "held")
	if r := l.until(t, "the deletion", deleting("held")); r.DefinitionDeleting {
		t.Errorf("deleting after the definition was made anew: %+v", r)
	}
}

// TestFollowDefinitionIsTornOut removes a definition without the deletion of
// what it defines, and stops to serve a version.
func TestFollowDefinitionIsTornOut(t *testing.T) {
	t.Parallel()
	for name, patch := range map[string]string{
		"finalizers stripped":       `{"metadata":{"finalizers":null}}`,
		"version no longer served":  `{"spec":{"versions":[{"name":"v1","served":false,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}}`,
		"finalizers of the objects": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarbour(t, realTarget(t, Config{}))
			h.define(t, true)
			h.build(t, "held", finalizer)
			l := following(t, h, applier.ResourceFilter{Kinds: h.kinds()})
			l.synced(t)
			if patch == "" { // as people do when the deletion of a definition hangs, but before
				if _, err := h.boats().Patch(t.Context(), "held", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			if !strings.Contains(patch, "served") {
				h.undefine(t)
			}
			if patch != "" {
				if _, err := h.crds().Patch(t.Context(), "boats."+h.group, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			gone := l.until(t, "the end", func(r applier.Resource) bool { return r.Ref.Name == "held" && (r.Deleted || r.Deleting) })
			if !gone.DefinitionDeleting {
				t.Errorf("gone: %+v", gone)
			}
			l.until(t, "the end of the kind", func(r applier.Resource) bool { return r.Ref.Name == "" && r.Ref.Kind == "Boat" && r.Deleted })
		})
	}
}

// TestFollowNamespaceGoes deletes the namespace under an object that a
// finalizer holds.
func TestFollowNamespaceGoes(t *testing.T) {
	t.Parallel()
	h := newHarbour(t, realTarget(t, Config{}))
	h.define(t, true)
	h.build(t, "held", finalizer)
	l := following(t, h, applier.ResourceFilter{Kinds: h.kinds(), Namespaces: []string{h.namespace}})
	l.synced(t)
	deleteNamespace(t, h.namespace)
	going := l.until(t, "the deletion", deleting("held"))
	if going.DefinitionDeleting || !going.NamespaceDeleting {
		t.Errorf("deleting: %+v", going)
	}
	if err := h.TellResource(t.Context(), applier.ResourceEvent{Ref: going.Ref, UID: going.UID, Reason: "Late", Message: "x"}); err == nil {
		t.Error("an event in a namespace that is being deleted was taken")
	}
	h.release(t, going)
	l.until(t, "the end", deleted("held"))
}
