package main

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// behindProxy returns the harbour as seen through a proxy, with the status
// subresource, and the target that goes through it.
func behindProxy(t *testing.T) (*harbour, *proxy, *target) {
	t.Helper()
	p, kubeconfig := newProxy(t)
	h := newHarbour(t, realTarget(t, Config{}))
	h.define(t, true)
	return h, p, realTarget(t, Config{Kubeconfig: kubeconfig})
}

// TestFollowAcrossOutage changes objects while the API server cannot be reached
// and the version to go on from expires.
func TestFollowAcrossOutage(t *testing.T) {
	t.Parallel()
	for name, expired := range map[string]bool{"resumed": false, "listed again": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, p, target := behindProxy(t)
			for _, name := range []string{"stays", "changes", "goes", "anew"} {
				h.build(t, name)
			}
			l := following(t, target, applier.ResourceFilter{Kinds: h.kinds()})
			l.synced(t)
			before := len(l.all())
			p.set(func(_ int, w http.ResponseWriter, _ *http.Request) bool { cut(w); return true })
			p.CloseClientConnections()
			if _, err := h.boats().Patch(t.Context(), "changes", types.MergePatchType, []byte(`{"spec":{"sails":3}}`), metav1.PatchOptions{}); err != nil {
				t.Fatal(err)
			}
			h.sink(t, "goes")
			h.sink(t, "anew")
			anew := h.build(t, "anew")
			h.build(t, "new")
			var once sync.Once
			p.set(func(_ int, w http.ResponseWriter, r *http.Request) (handled bool) {
				if expired && r.URL.Query().Get("watch") == "true" {
					once.Do(func() { apiStatus(w, http.StatusGone, "Expired"); handled = true })
				}
				return handled
			})
			seen := map[string]int{}
			for len(seen) < 5 {
				r := l.until(t, "what happened meanwhile", func(r applier.Resource) bool { return r.Ref.Name != "" })
				key := fmt.Sprintf("%s deleted=%t new=%t", r.Ref.Name, r.Deleted, r.UID == string(anew.GetUID()))
				seen[key]++
			}
			for _, want := range []string{
				"changes deleted=false new=false", "goes deleted=true new=false", "new deleted=false new=false",
				"anew deleted=true new=false", "anew deleted=false new=true",
			} {
				if seen[want] != 1 {
					t.Errorf("%s: seen %d times, want once: %v", want, seen[want], seen)
				}
			}
			if n := len(l.all()) - before; n != 5 {
				t.Errorf("%d emitted after the outage, want 5: %s", n, l)
			}
		})
	}
}

// TestFollowCosts counts requests: one watch, nothing while nothing changes, and
// one request for each change of an object that is followed.
func TestFollowCosts(t *testing.T) {
	t.Parallel()
	n := 2000
	if testing.Short() {
		n = 300
	}
	h, p, target := behindProxy(t)
	fleet(t, h, n)
	p.take()
	began := time.Now()
	l := following(t, target, applier.ResourceFilter{Kinds: append(h.kinds(), applier.VersionedKind{Group: "none." + h.group, Version: "v1", Kind: "Raft"})})
	l.synced(t)
	eventually(t, "the watches", func() (bool, string) { return p.count("watch") == 2, fmt.Sprint(p.count("watch")) })
	counts := p.take()
	t.Logf("first pass over %d objects: %v in %s", n, counts, time.Since(began).Round(time.Millisecond))
	pages := (n + 249) / 250
	if total(counts) != pages+2+2+1 { // pages; two kinds asked for, two watches; the definition of the one that is missing
		t.Errorf("%v, want %d pages, 2 watches and 3 more", counts, pages)
	}
	if got := len(l.all()); got != n+2 { // with the end of the first pass, and the kind that is missing
		t.Errorf("%d emitted, want %d", got, n+2)
	}
	boat := h.patch(h.build(t, "mary"))
	l.until(t, "the new one", there("mary"))
	if counts := p.take(); total(counts) != 0 {
		t.Errorf("while nothing of ours happened: %v", counts)
	}
	for _, change := range []applier.ResourcePatch{
		{AddFinalizer: finalizer},
		{Status: []byte(`{"phase":"Installing"}`)},
		{Status: []byte(`{"phase":"Succeeded"}`)},
		{RemoveFinalizer: finalizer},
	} {
		change.Ref, change.UID = boat.Ref, boat.UID
		if _, err := target.PatchResource(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		if counts := p.take(); total(counts) != 1 || counts["apply"] != 1 {
			t.Errorf("%+v took %v, want one patch", change, counts)
		}
	}
	for i := range 3 {
		if err := target.TellResource(t.Context(), applier.ResourceEvent{Ref: boat.Ref, UID: boat.UID, Reason: "ReleaseSynced", Message: "done"}); err != nil {
			t.Fatal(err)
		}
		if counts := p.take(); total(counts) != 1 {
			t.Errorf("event %d took %v, want one request", i, counts)
		}
	}
}

// fleet makes n objects, many at a time.
func fleet(t *testing.T, h *harbour, n int) {
	t.Helper()
	var wg sync.WaitGroup
	jobs := make(chan int)
	for range 16 {
		wg.Go(func() {
			for i := range jobs {
				if _, err := h.boats().Create(t.Context(), h.boat(fmt.Sprintf("boat-%04d", i)), metav1.CreateOptions{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range n {
		jobs <- i
	}
	close(jobs)
	wg.Wait()
}

const sailorRights = `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: sailor, namespace: NS}
rules:
- {apiGroups: [apps], resources: [deployments], verbs: [list]}
- {apiGroups: [NS.example.com], resources: [boats], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: sailor, namespace: NS}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: sailor}
subjects: [{kind: User, name: reader-NS}]
`

// TestFollowWithinRights: what may not be seen is named with what to grant, and
// keeps nothing else back.
func TestFollowWithinRights(t *testing.T) {
	t.Parallel()
	admin := realTarget(t, Config{})
	h := newHarbour(t, admin)
	h.define(t, true)
	other := makeNamespace(t, admin)
	kubeconfig := readerOf(t, admin, h.namespace)
	applyOf(t, admin, setOf(t, "more-rights", h.namespace, strings.ReplaceAll(sailorRights, "NS", h.namespace)))
	mary := h.build(t, "mary", finalizer)

	limited := realTarget(t, Config{Kubeconfig: kubeconfig, Namespaces: []string{h.namespace, other}})
	l := following(t, limited, applier.ResourceFilter{Kinds: h.kinds()})
	l.until(t, "what may be seen", there("mary"))
	refused := func(ns string) func(applier.Resource) bool {
		return func(r applier.Resource) bool { return r.Problem != "" && r.Ref.Namespace == ns }
	}
	wide := following(t, realTarget(t, Config{Kubeconfig: kubeconfig}), applier.ResourceFilter{Kinds: h.kinds()})
	for ns, l := range map[string]*log{"": wide, other: following(t, limited, applier.ResourceFilter{Kinds: h.kinds(), Namespaces: []string{other, "outside"}})} {
		problem := l.until(t, "the refusal", refused(ns)).Problem
		for _, part := range []string{"boats." + h.group, "cannot list", "reader-" + h.namespace, "apiGroups: [" + h.group + "]", "verbs: [get, list, watch]"} {
			if !strings.Contains(problem, part) {
				t.Errorf("%q does not say %q", problem, part)
			}
		}
		l.synced(t)
	}
	for sub, change := range map[string]applier.ResourcePatch{
		"resources: [boats/status]": {Status: []byte(`{"phase":"x"}`)},
		"resources: [boats]":        {RemoveFinalizer: finalizer},
	} {
		change.Ref, change.UID = h.patch(mary).Ref, string(mary.GetUID())
		_, err := limited.PatchResource(t.Context(), change)
		if err == nil || !strings.Contains(err.Error(), sub) || !strings.Contains(err.Error(), "verbs: [patch]") {
			t.Errorf("%v, want an error with %q", err, sub)
		}
	}
	if err := limited.TellResource(t.Context(), applier.ResourceEvent{Ref: h.patch(mary).Ref, Reason: "x"}); err == nil || !strings.Contains(err.Error(), "resources: [events], verbs: [create, get, patch]") {
		t.Errorf("event: %v", err)
	}
	if _, err := limited.ReadConfig(t.Context(), applier.ConfigRef{Namespace: h.namespace, Name: "x", Key: "x"}); err == nil || !strings.Contains(err.Error(), "resources: [configmaps], verbs: [get]") {
		t.Errorf("config: %v", err)
	}

	h.sink(t, "mary") // without rights to the definition
	if going := l.until(t, "the deletion", deleting("mary")); going.DefinitionDeleting {
		t.Errorf("deleting: %+v", going)
	}
	h.build(t, "held", finalizer)
	h.undefine(t)
	if going := l.until(t, "the deletion", deleting("held")); !going.DefinitionDeleting {
		t.Errorf("deleting with the definition: %+v", going)
	}
}

// keeperRights are those of the README, for the kind of a test.
const keeperRights = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: keeper-NS}
rules:
- {apiGroups: [NS.example.com], resources: [boats], verbs: [get, list, watch, patch]}
- {apiGroups: [NS.example.com], resources: [boats/status], verbs: [patch]}
- {apiGroups: [""], resources: [events], verbs: [create, get, patch]}
- {apiGroups: [""], resources: [configmaps, secrets], verbs: [get]}
- {apiGroups: [""], resources: [namespaces], verbs: [get]}
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  resourceNames: [boats.NS.example.com]
  verbs: [get, list, watch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: keeper-NS}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: keeper-NS}
subjects: [{kind: User, name: reader-NS}]
`

// TestRightsOfTheREADME are enough, and the definition is seen to come without
// the pause of those who may not watch it.
func TestRightsOfTheREADME(t *testing.T) {
	t.Parallel()
	admin := realTarget(t, Config{})
	h := newHarbour(t, admin)
	kubeconfig := readerOf(t, admin, h.namespace)
	applyOf(t, admin, setOf(t, "keeper", h.namespace, strings.ReplaceAll(keeperRights, "NS", h.namespace)))
	t.Cleanup(func() { deleteAll(t, admin, "keeper") })
	target := realTarget(t, Config{Kubeconfig: kubeconfig})
	eventually(t, "the rights to come into force", func() (bool, string) {
		_, err := target.ReadConfig(t.Context(), applier.ConfigRef{Namespace: h.namespace, Name: "none", Key: "x"})
		return errors.Is(err, applier.ErrNoConfig), fmt.Sprint(err)
	})
	l := following(t, target, applier.ResourceFilter{Kinds: h.kinds()})
	l.synced(t)
	h.define(t, true)
	mary := h.patch(h.build(t, "mary"))
	began := time.Now()
	l.until(t, "the object", there("mary"))
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("the kind was noticed after %s", took)
	}
	mary.AddFinalizer, mary.Status = finalizer, []byte(`{"phase":"Installing"}`)
	if _, err := target.PatchResource(t.Context(), mary); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := target.TellResource(t.Context(), applier.ResourceEvent{Ref: mary.Ref, UID: mary.UID, Reason: "ReleaseSynced", Message: "x"}); err != nil {
			t.Error(err)
		}
	}
	h.undefine(t)
	if r := l.until(t, "the deletion", deleting("mary")); !r.DefinitionDeleting || r.NamespaceDeleting {
		t.Errorf("deleting: %+v", r)
	}
	mary.AddFinalizer, mary.Status, mary.RemoveFinalizer = "", nil, finalizer
	if _, err := target.PatchResource(t.Context(), mary); err != nil {
		t.Error(err)
	}
	l.until(t, "the end", deleted("mary"))
	for _, r := range l.all() {
		if r.Problem != "" {
			t.Errorf("problem: %s", r.Problem)
		}
	}
}
