package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// TestPatchResource with and without the status subresource, followed or not.
func TestPatchResource(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]bool{"with a subresource": true, "without a subresource": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarbour(t, realTarget(t, Config{}))
			h.define(t, status)
			mary := h.build(t, "mary", "example.com/other")
			p := h.patch(mary)
			for range 2 { // the second time nothing changes
				p.AddFinalizer, p.Status = finalizer, json.RawMessage(`{"phase":"Installing","gone":1}`)
				if _, err := h.PatchResource(t.Context(), p); err != nil {
					t.Fatal(err)
				}
			}
			l := following(t, h, applier.ResourceFilter{Kinds: h.kinds()})
			l.synced(t)
			p.Status = json.RawMessage(`{"phase":"Succeeded","gone":null,"conditions":[{"type":"Released"}]}`)
			r, err := h.PatchResource(t.Context(), p)
			if err != nil || r.UID != p.UID || r.Ref != p.Ref {
				t.Fatalf("%+v, %v", r, err)
			}
			if status && r.Generation != 1 {
				t.Errorf("the status changed the generation to %d", r.Generation)
			}
			want := map[string]any{"phase": "Succeeded", "conditions": []any{map[string]any{"type": "Released"}}}
			if diff := cmp.Diff(want, statusIn(t, r.Object)); diff != "" {
				t.Errorf("status (-want +got):\n%s", diff)
			}
			p.AddFinalizer, p.RemoveFinalizer, p.Status = "", finalizer, nil
			if r, err = h.PatchResource(t.Context(), p); err != nil || strings.Contains(string(r.Object), finalizer) || !strings.Contains(string(r.Object), "example.com/other") {
				t.Errorf("finalizers: %s, %v", r.Object, err)
			}
			if _, err := h.PatchResource(t.Context(), p); err != nil {
				t.Errorf("a finalizer that is not there: %v", err)
			}
		})
	}
}

func statusIn(t *testing.T, object json.RawMessage) map[string]any {
	t.Helper()
	var o struct{ Status map[string]any }
	if err := json.Unmarshal(object, &o); err != nil {
		t.Fatal(err)
	}
	return o.Status
}

// TestPatchResourceFollowsTheDefinition gives and takes the status subresource.
func TestPatchResourceFollowsTheDefinition(t *testing.T) {
	t.Parallel()
	h := newHarbour(t, realTarget(t, Config{}))
	h.define(t, false)
	p := h.patch(h.build(t, "mary"))
	for i, status := range []bool{false, true, false} {
		crd := decodeYAML(t, h.manifest(status))
		body, err := json.Marshal(crd.Object)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.crds().Patch(t.Context(), crd.GetName(), types.MergePatchType, body, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the definition to take effect", func() (bool, string) {
			s, err := h.client.Served(t.Context(), crdKind(h))
			return err == nil && s.Status == status, fmt.Sprint(s, err)
		})
		p.Status = fmt.Appendf(nil, `{"phase":"%d"}`, i)
		eventually(t, "the status", func() (bool, string) { // the storage follows the definition a moment later than what is said of it
			r, err := h.PatchResource(t.Context(), p)
			return err == nil && statusIn(t, r.Object)["phase"] == fmt.Sprint(i), fmt.Sprintf("%s, %v", r.Object, err)
		})
	}
}

// TestPatchResourceIsExact never touches another object of the name, and says
// so.
func TestPatchResourceIsExact(t *testing.T) {
	t.Parallel()
	h := newHarbour(t, realTarget(t, Config{}))
	h.define(t, true)
	gone := h.patch(h.build(t, "mary"))
	l := following(t, h, applier.ResourceFilter{Kinds: h.kinds()})
	l.synced(t)
	h.sink(t, "mary")
	none := applier.ResourcePatch{Ref: applier.Ref{Group: h.group, Version: "v1", Kind: "Raft", Namespace: h.namespace, Name: "x"}, UID: "x"}
	refuse := func(what string) {
		t.Helper()
		for _, p := range []applier.ResourcePatch{gone, none} {
			for _, change := range []applier.ResourcePatch{{Status: []byte(`{"phase":"x"}`)}, {AddFinalizer: finalizer}, {RemoveFinalizer: finalizer}} {
				change.Ref, change.UID = p.Ref, p.UID
				if _, err := h.PatchResource(t.Context(), change); !errors.Is(err, applier.ErrNoResource) {
					t.Errorf("%s, %s: %v; want ErrNoResource", what, p.Ref, err)
				}
			}
		}
	}
	refuse("gone")
	anew := h.build(t, "mary", "example.com/hold")
	refuse("made anew")
	h.sink(t, "mary")
	p := h.patch(anew)
	p.AddFinalizer = finalizer
	if _, err := h.PatchResource(t.Context(), p); !errors.Is(err, applier.ErrNoResource) {
		t.Errorf("a finalizer for what is being deleted: %v; want ErrNoResource", err)
	}
	now, err := h.boats().Get(t.Context(), "mary", metav1.GetOptions{})
	if err != nil || now.Object["status"] != nil || len(now.GetFinalizers()) != 1 {
		t.Errorf("the new one was touched: %+v, %v", now, err)
	}
	for text, p := range map[string]applier.ResourcePatch{"not a JSON object": {Ref: p.Ref, UID: p.UID, Status: []byte(`[1]`)}} {
		if _, err := h.PatchResource(t.Context(), p); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, want an error with %q", err, text)
		}
	}
}

// TestPatchResourceOnOldNews changes what was made anew since the watch was
// lost: only the version tells that it is another object.
func TestPatchResourceOnOldNews(t *testing.T) {
	t.Parallel()
	h, p, target := behindProxy(t)
	old, changed := h.patch(h.build(t, "mary")), h.patch(h.build(t, "anne"))
	following(t, target, applier.ResourceFilter{Kinds: h.kinds()}).synced(t)
	p.set(func(_ int, w http.ResponseWriter, r *http.Request) bool {
		blind := r.URL.Query().Get("watch") == "true"
		if blind {
			cut(w)
		}
		return blind
	})
	p.CloseClientConnections()
	h.sink(t, "mary")
	h.build(t, "mary")
	for _, change := range []applier.ResourcePatch{{Status: []byte(`{"phase":"x"}`)}, {AddFinalizer: finalizer}} {
		change.Ref, change.UID = old.Ref, old.UID
		if r, err := target.PatchResource(t.Context(), change); !errors.Is(err, applier.ErrNoResource) {
			t.Errorf("made anew: %s, %v; want ErrNoResource", r.Object, err)
		}
	}
	if _, err := h.boats().Patch(t.Context(), "anne", types.MergePatchType, []byte(`{"metadata":{"finalizers":["example.com/other"]}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	changed.AddFinalizer = finalizer
	if r, err := target.PatchResource(t.Context(), changed); err != nil || !strings.Contains(string(r.Object), "example.com/other") {
		t.Errorf("changed by another: %s, %v", r.Object, err)
	}
	now, err := h.boats().Get(t.Context(), "mary", metav1.GetOptions{})
	if err != nil || now.Object["status"] != nil || len(now.GetFinalizers()) > 0 {
		t.Errorf("the new one was touched: %+v, %v", now, err)
	}
}

// TestPatchResourceAmongOthers loses nobody's finalizer.
func TestPatchResourceAmongOthers(t *testing.T) {
	t.Parallel()
	h := newHarbour(t, realTarget(t, Config{}))
	h.define(t, true)
	p := h.patch(h.build(t, "mary"))
	following(t, h, applier.ResourceFilter{Kinds: h.kinds()}).synced(t)
	var wg sync.WaitGroup
	var want []string
	for i := range 5 {
		p := p
		p.AddFinalizer = fmt.Sprintf("example.com/%d", i)
		want = append(want, p.AddFinalizer)
		wg.Go(func() {
			if _, err := h.PatchResource(t.Context(), p); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	now, err := h.boats().Get(t.Context(), "mary", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, slices.Sorted(slices.Values(now.GetFinalizers()))); diff != "" {
		t.Errorf("finalizers (-want +got):\n%s", diff)
	}
}

// TestResourceInASync: what the host writes into an object that a sync applied
// survives and is no drift; a deletion that the host holds does not fail the
// sync.
func TestResourceInASync(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]bool{"with a subresource": true, "without a subresource": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarbour(t, realTarget(t, Config{}))
			h.define(t, status)
			if err := h.client.Kinds.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			manifest := fmt.Sprintf("apiVersion: %s/v1\nkind: Boat\nmetadata: {name: mary, namespace: %s}\nspec: {sails: 2}\n", h.group, h.namespace)
			set := setOf(t, "shop", h.namespace, manifest)
			applyOf(t, h.target, set)
			live, err := h.boats().Get(t.Context(), "mary", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			p, ref := h.patch(live), h.patch(live).Ref.String()
			until := watching(t, h.target, "shop")
			p.AddFinalizer, p.Status = finalizer, json.RawMessage(`{"phase":"Succeeded","observedGeneration":1}`)
			written, err := h.PatchResource(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			if c := planOf(t, h.target, set)[ref]; c.Action != applier.None {
				t.Errorf("plan after status and finalizer: %s (%s), want none", c.Action, c.Reason)
			}
			changed := setOf(t, "shop", h.namespace, strings.Replace(manifest, "sails: 2", "sails: 3", 1))
			applyOf(t, h.target, changed)
			until("the changed object", func(s applier.ObjectStatus) bool {
				if s.Drifted {
					t.Errorf("false drift: %+v", s)
				}
				return s.Ref.Kind == "Boat"
			})
			after, err := h.boats().Get(t.Context(), "mary", metav1.GetOptions{})
			if err != nil || !slices.Equal(after.GetFinalizers(), []string{finalizer}) {
				t.Errorf("finalizers after a sync: %v, %v", after.GetFinalizers(), err)
			}
			if diff := cmp.Diff(statusIn(t, written.Object)["phase"], nested(after, "status", "phase")); diff != "" {
				t.Errorf("status after a sync (-want +got):\n%s", diff)
			}
			holdsTheSync(t, h, p, ref)
		})
	}
}

func nested(u *unstructured.Unstructured, fields ...string) any {
	v, _, _ := unstructured.NestedFieldNoCopy(u.Object, fields...)
	return v
}

// holdsTheSync prunes what the host holds, lets it go, and prunes again.
func holdsTheSync(t *testing.T, h *harbour, p applier.ResourcePatch, ref string) {
	t.Helper()
	del := applier.Deletion{Owner: "shop", Refs: []applier.Ref{p.Ref}, Timeout: 4 * time.Minute}
	r := deleteOf(t, h.target, del)[ref]
	if r.Outcome != applier.Skipped || r.Diagnostic != nil || !strings.Contains(r.Reason, "waits for finalizer "+finalizer) {
		t.Errorf("while the host holds it: %+v", r)
	}
	if c := planOf(t, h.target, setOf(t, "shop", h.namespace, ""))[ref]; c.Action != applier.Prune {
		t.Errorf("it is forgotten: %+v", c)
	}
	done := make(chan map[string]applier.Result)
	go func() { done <- deleteOf(t, h.target, del) }()
	h.release(t, applier.Resource{Ref: p.Ref, UID: p.UID})
	if r := (<-done)[ref]; r.Outcome != applier.Deleted {
		t.Errorf("after the host let go: %+v", r)
	}
}

// TestTellResource counts events that were told before, also by another
// process.
func TestTellResource(t *testing.T) {
	t.Parallel()
	h := newHarbour(t, realTarget(t, Config{}))
	h.define(t, true)
	mary := h.build(t, "mary")
	e := applier.ResourceEvent{Ref: h.patch(mary).Ref, UID: string(mary.GetUID()), Reason: "FailedReleaseSync", Message: strings.Repeat("ä", 600), Warning: true}
	for range 3 {
		if err := h.TellResource(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if err := realTarget(t, Config{}).TellResource(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	e.Warning, e.Reason, e.Message = false, "ReleaseSynced", "installed"
	if err := h.TellResource(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	type told struct {
		Type, Reason, Source string
		Count                int64
	}
	events := h.client.Dynamic.Resource(gvr("", "v1", "events")).Namespace(h.namespace)
	list, err := events.List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.uid=" + e.UID})
	if err != nil {
		t.Fatal(err)
	}
	got := map[told]bool{}
	for _, u := range list.Items {
		count, _ := nested(&u, "count").(int64)
		text, _ := nested(&u, "message").(string)
		got[told{fmt.Sprint(nested(&u, "type")), fmt.Sprint(nested(&u, "reason")), fmt.Sprint(nested(&u, "source", "component")), count}] = true
		if len(text) > 1<<10 || !utf8.ValidString(text) {
			t.Errorf("a message of %d bytes: %q", len(text), text)
		}
		if err := events.Delete(t.Context(), u.GetName(), metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	}
	want := map[told]bool{{"Warning", "FailedReleaseSync", "sluice", 4}: true, {"Normal", "ReleaseSynced", "sluice", 1}: true}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if err := h.TellResource(t.Context(), e); err != nil { // as after it has expired
		t.Error(err)
	}
}

func TestReadConfig(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := makeNamespace(t, target)
	manifest := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: values, namespace: " + ns + "}\ndata: {values.yaml: \"a: 1\\n\"}\nbinaryData: {blob: AAE=}\n"
	configMaps := target.client.Dynamic.Resource(gvr("", "v1", "configmaps")).Namespace(ns)
	if _, err := configMaps.Create(t.Context(), decodeYAML(t, manifest), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if value, err := target.ReadConfig(t.Context(), applier.ConfigRef{Namespace: ns, Name: "values", Key: "values.yaml"}); err != nil || value != "a: 1\n" {
		t.Errorf("%q, %v", value, err)
	}
	for _, ref := range []applier.ConfigRef{
		{Namespace: ns, Name: "values", Key: "other"}, {Namespace: ns, Name: "none", Key: "x"}, {Name: "none", Key: "x"},
	} {
		if _, err := target.ReadConfig(t.Context(), ref); !errors.Is(err, applier.ErrNoConfig) {
			t.Errorf("%+v: %v; want ErrNoConfig", ref, err)
		}
	}
	if _, err := target.ReadConfig(t.Context(), applier.ConfigRef{Namespace: ns, Name: "values", Key: "blob"}); err == nil || errors.Is(err, applier.ErrNoConfig) || !strings.Contains(err.Error(), "binary") {
		t.Errorf("binary: %v", err)
	}
	limited := realTarget(t, Config{Namespaces: []string{ns}})
	if _, err := limited.ReadConfig(t.Context(), applier.ConfigRef{Namespace: "default", Name: "x", Key: "x"}); err == nil || !strings.Contains(err.Error(), "limited to the namespaces") {
		t.Errorf("outside: %v", err)
	}
}
