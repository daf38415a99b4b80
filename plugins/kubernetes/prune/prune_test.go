package prune

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/inventory"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/live"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

const mine, theirs = "applyset-mine-v1", "applyset-theirs-v1"

var configMap = applier.Ref{Version: "v1", Kind: "ConfigMap", Namespace: "shop", Name: "a"}

func kinds(served ...cluster.Kind) *cluster.Kinds {
	return cluster.NewKinds(func(context.Context) ([]cluster.Kind, map[string]error, error) { return served, nil, nil })
}

var configMaps = cluster.Kind{GroupVersionKind: schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, Resource: "configmaps", Namespaced: true}

// TestVictim: what may be deleted, and what becomes of the rest.
func TestVictim(t *testing.T) {
	recorded := inventory.Record{Ref: configMap, UID: "u1", Resource: "configmaps"}
	unserved := recorded
	unserved.Resource = ""
	mineThere := live.Fact{UID: "u1", Member: mine}
	tests := []struct {
		name   string
		record *inventory.Record
		fact   *live.Fact
		kinds  *cluster.Kinds
		want   string // outcome and reason; empty: it is deleted
		member bool
	}{
		{name: "ours by label", record: &recorded, fact: &mineThere, member: true},
		{name: "ours by label, made anew", record: &recorded, fact: &live.Fact{UID: "u2", Member: mine}, member: true},
		{name: "ours by uid", record: &recorded, fact: &live.Fact{UID: "u1"}},
		{name: "of a kind that is served no more", record: &recorded, fact: &mineThere, kinds: kinds(), member: true},
		{name: "gone", record: &recorded, want: "deleted: it was gone already"},
		{name: "never ours and not there", want: "deleted: it was gone already"},
		{name: "never ours", fact: &live.Fact{UID: "u1"}, want: "failed: it is not in the inventory of this sync"},
		{name: "our label on what we never had", fact: &mineThere, want: "failed: it is not in the inventory of this sync"},
		{name: "another sync's by now", record: &recorded, fact: &live.Fact{UID: "u1", Member: theirs},
			want: "failed: it is not this sync's any more: its label or its uid is another"},
		{name: "made anew by a stranger", record: &recorded, fact: &live.Fact{UID: "u2"},
			want: "failed: it is not this sync's any more: its label or its uid is another"},
		{name: "spared", record: &recorded, fact: &live.Fact{UID: "u1", Member: mine, Spared: "annotation y"}, want: "skipped: annotation y"},
		{name: "of a kind nobody knows", record: &unserved, fact: &mineThere, kinds: kinds(), want: "failed: no CRD installed for ConfigMap v1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inv := inventory.Of("shop", mine)
			if tt.record != nil {
				inv.Put(*tt.record)
			}
			known := map[applier.Ref]live.Fact{}
			if tt.fact != nil {
				known[configMap.Identity()] = *tt.fact
			}
			r := run{Pruner: &Pruner{Kinds: tt.kinds}, id: mine}
			if r.Kinds == nil {
				r.Kinds = kinds(configMaps)
			}
			v, why := r.victim(t.Context(), configMap, inv, live.NewFacts(known))
			got := ""
			if why != nil {
				got = fmt.Sprintf("%s: %s", why.Outcome, why.Reason)
				if (why.Outcome == applier.Failed) != (why.Diagnostic != nil) {
					t.Errorf("diagnostic: %v", why.Diagnostic)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if tt.want == "" && (string(v.uid) != tt.fact.UID || v.member != tt.member || v.kind.Resource != "configmaps") {
				t.Errorf("victim: %+v", v)
			}
		})
	}
}

func TestAnswer(t *testing.T) {
	resource := schema.GroupResource{Resource: "configmaps"}
	for _, tt := range []struct {
		name string
		err  error
		wait bool
		want applier.Outcome // of the result that is said at once
	}{
		{"accepted", nil, true, ""},
		{"gone", apierrors.NewNotFound(resource, "a"), false, applier.Deleted},
		{"still there, says the look after a 409", apierrors.NewConflict(resource, "a", errors.New("no")), false, applier.Failed},
		{"not allowed", apierrors.NewForbidden(resource, "a", errors.New("RBAC")), false, applier.Failed},
		{"server fails", apierrors.NewGenericServerResponse(http.StatusInternalServerError, "delete", resource, "a", "", 0, true), false, applier.Failed},
	} {
		var said applier.Outcome
		r := run{Pruner: &Pruner{}, report: func(res applier.Result) { said = res.Outcome }}
		if wait := r.answer(victim{ref: configMap}, tt.err); wait != tt.wait || said != tt.want {
			t.Errorf("%s: wait %t, said %q; want %t, %q", tt.name, wait, said, tt.wait, tt.want)
		}
		if stuck := len(r.stuck) == 1; stuck != (tt.want == applier.Failed) {
			t.Errorf("%s: stuck: %v", tt.name, r.stuck)
		}
	}
}

// TestConflict: a 409 alone does not say that an object has gone.
func TestConflict(t *testing.T) {
	const object = `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"a","namespace":"shop","uid":%q}}`
	const status = `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"message":%q,"code":%d}`
	for _, tt := range []struct {
		name string
		code int
		body string // of the answer to the look after the 409
		want string
	}{
		{"gone", http.StatusNotFound, fmt.Sprintf(status, "NotFound", "not here", 404), "deleted: "},
		{"made anew", http.StatusOK, fmt.Sprintf(object, "u2"), "deleted: "},
		{"held by a webhook", http.StatusOK, fmt.Sprintf(object, "u1"), "failed: the webhook says no"},
		{"nobody can tell", http.StatusForbidden, fmt.Sprintf(status, "Forbidden", "no look", 403),
			"failed: the webhook says no; whether it is still there is not known: no look"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if req.Method == http.MethodDelete {
					w.WriteHeader(http.StatusConflict)
					_, _ = fmt.Fprintf(w, status, "Conflict", "the webhook says no", 409)
					return
				}
				w.WriteHeader(tt.code)
				_, _ = w.Write([]byte(tt.body))
			}))
			defer s.Close()
			client, err := metadata.NewForConfig(&rest.Config{Host: s.URL, QPS: -1})
			if err != nil {
				t.Fatal(err)
			}
			inv := inventory.Of("shop", mine)
			inv.Put(inventory.Record{Ref: configMap, UID: "u1", Resource: "configmaps"})
			facts := live.NewFacts(map[applier.Ref]live.Fact{configMap.Identity(): {UID: "u1", Member: mine}})
			p := Pruner{Metadata: client, Kinds: kinds(configMaps), Timeout: time.Minute}
			var got []string
			p.Run(t.Context(), inv, []applier.Ref{configMap}, facts, func(r applier.Result) {
				got = append(got, fmt.Sprintf("%s: %s", r.Outcome, r.Reason))
			})
			if diff := cmp.Diff([]string{tt.want}, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestStillNeeded(t *testing.T) {
	definition := func(name string) applier.Ref {
		return applier.Ref{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition", Name: name}
	}
	widget := applier.Ref{Group: "example.com", Kind: "Widget", Namespace: "shop", Name: "w"}
	for _, tt := range []struct {
		name  string
		ref   applier.Ref
		stuck []applier.Ref
		want  bool
	}{
		{"nothing is stuck", applier.Ref{Kind: "Namespace", Name: "shop"}, nil, false},
		{"object in it", applier.Ref{Kind: "Namespace", Name: "shop"}, []applier.Ref{configMap}, true},
		{"object in another", applier.Ref{Kind: "Namespace", Name: "shop-2"}, []applier.Ref{configMap}, false},
		{"object of the group", definition("widgets.example.com"), []applier.Ref{widget}, true},
		{"object of a group that ends alike", definition("widgets.another-example.com"), []applier.Ref{widget}, false},
		{"object of the core group", definition("widgets.example.com"), []applier.Ref{configMap}, false},
	} {
		var said *applier.Result
		r := run{Pruner: &Pruner{}, stuck: tt.stuck, report: func(res applier.Result) { said = &res }}
		if got := r.stillNeeded(victim{ref: tt.ref}); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
		if tt.want && (said == nil || said.Outcome != applier.Skipped) || !tt.want && said != nil {
			t.Errorf("%s: said %+v", tt.name, said)
		}
	}
}

// TestRunSparesWhatHolds: when nothing in a namespace may be deleted, the
// namespace stays too; no request is sent, since there is no client.
func TestRunSparesWhatHolds(t *testing.T) {
	namespace := applier.Ref{Version: "v1", Kind: "Namespace", Name: "shop"}
	inv := inventory.Of("shop", mine)
	known := map[applier.Ref]live.Fact{}
	for _, ref := range []applier.Ref{namespace, configMap} {
		inv.Put(inventory.Record{Ref: ref, UID: "u", Resource: "x"})
		known[ref.Identity()] = live.Fact{UID: "u", Member: mine}
	}
	known[configMap.Identity()] = live.Fact{UID: "u", Member: mine, Spared: "annotation y"}
	p := Pruner{Kinds: kinds()}
	got := map[string]string{}
	p.Run(t.Context(), inv, []applier.Ref{namespace, configMap}, live.NewFacts(known), func(r applier.Result) {
		got[r.Ref.String()] = fmt.Sprintf("%s: %s", r.Outcome, r.Reason)
	})
	want := map[string]string{
		"Namespace/shop":   "skipped: shop:ConfigMap/a is still there",
		"shop:ConfigMap/a": "skipped: annotation y",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestByRank(t *testing.T) {
	v := func(kind string) victim { return victim{ref: applier.Ref{Kind: kind}} }
	var got []int
	for _, batch := range byRank([]victim{v("Pod"), v("Pod"), v("Secret"), v("ConfigMap"), v("Namespace")}) {
		got = append(got, len(batch))
	}
	if diff := cmp.Diff([]int{2, 2, 1}, got); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
	if got := byRank(nil); got != nil {
		t.Errorf("of nothing: %v", got)
	}
}
