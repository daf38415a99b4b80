package plan

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/desired"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/inventory"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/live"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

var ref = applier.Ref{Version: "v1", Kind: "ConfigMap", Namespace: "shop", Name: "a"}

const mine, theirs = "applyset-mine-v1", "applyset-theirs-v1"

func object(change ...func(*desired.Object)) desired.Object {
	obj := desired.Object{Ref: ref, File: "a.yaml", Line: 3, Hash: "h1", Kind: cluster.Kind{Resource: "configmaps", Namespaced: true}}
	for _, c := range change {
		c(&obj)
	}
	return obj
}

func record(r applier.Ref) inventory.Record {
	return inventory.Record{Ref: r, UID: "u1", Desired: "h1", Owned: "o1"}
}

func fact(change ...func(*live.Fact)) *live.Fact {
	f := &live.Fact{UID: "u1", Member: mine, Owned: "o1"}
	for _, c := range change {
		c(f)
	}
	return f
}

func TestCompute(t *testing.T) {
	recorded := record(ref)
	intended := inventory.Record{Ref: ref}
	tests := []struct {
		name   string
		obj    *desired.Object
		record *inventory.Record
		live   *live.Fact
		change func(*Input)
		want   string
	}{
		{name: "new", obj: new(object()), want: "create: it does not exist yet"},
		{name: "as desired", obj: new(object()), record: &recorded, live: fact(), want: "none: "},
		{name: "lost", obj: new(object()), record: &recorded, want: "create: somebody deleted it"},
		{name: "crash before it was made", obj: new(object()), record: &intended, want: "create: it does not exist yet"},
		{name: "crash after it was made", obj: new(object()), record: &intended, live: fact(),
			want: "update: it exists, but was never applied by this sync"},
		{name: "going away", obj: new(object()), record: &recorded, live: fact(func(f *live.Fact) { f.Deleting = true }), want: "create: it is being deleted"},
		{name: "changed file", obj: new(object(func(o *desired.Object) { o.Hash = "h2" })), record: &recorded, live: fact(), want: "update: its manifest changed"},
		{name: "drift", obj: new(object()), record: &recorded, live: fact(func(f *live.Fact) { f.Owned, f.Writer = "o2", "kubectl-edit at noon" }),
			want: "update: changed in the cluster by kubectl-edit at noon"},
		{name: "our fields gone", obj: new(object()), record: &recorded, live: fact(func(f *live.Fact) { f.Owned = "" }), want: "update: somebody changed it in the cluster"},
		{name: "made anew", obj: new(object()), record: &recorded, live: fact(func(f *live.Fact) { f.UID = "u2" }), want: "update: somebody deleted it and made it again"},
		{name: "found", obj: new(object()), live: fact(func(f *live.Fact) { f.Member, f.Owned = "", "" }), want: "update: it exists, but was never applied by this sync"},
		{name: "another's", obj: new(object()), live: fact(func(f *live.Fact) { f.Member = theirs }),
			want: `refused: it belongs to "other", and "shop" wants it too`},
		{name: "nobody known's", obj: new(object()), live: fact(func(f *live.Fact) { f.Member = "applyset-x" }),
			want: `refused: it belongs to the ApplySet applyset-x, which is not one of this applier's, and "shop" wants it too`},
		{name: "taken over", obj: new(object()), live: fact(func(f *live.Fact) { f.Member = theirs }), change: func(in *Input) { in.Adopt = true },
			want: `update: taken over from "other"`},
		{name: "ignored in the file", obj: new(object(func(o *desired.Object) { o.Ignored = "annotation x" })), want: "ignored: annotation x"},
		{name: "ignored live", obj: new(object(func(o *desired.Object) { o.Hash = "h2" })), record: &recorded,
			live: fact(func(f *live.Fact) { f.Ignored = "annotation y" }), want: "ignored: annotation y"},
		{name: "broken", obj: new(object(func(o *desired.Object) { o.Problem = &diag.Diagnostic{Summary: "not served"} })), record: &recorded, live: fact(),
			want: "refused: not served"},

		{name: "left the files", record: &recorded, live: fact(), want: "prune: no file declares it any more"},
		{name: "left, label taken off", record: &recorded, live: fact(func(f *live.Fact) { f.Member = "" }), want: "prune: no file declares it any more"},
		{name: "left, partial load", record: &recorded, live: fact(), change: func(in *Input) { in.Complete = false }, want: "kept: the load was not complete"},
		{name: "left, nameless object loaded", record: &recorded, live: fact(), change: func(in *Input) { in.Set.Anonymous = true },
			want: "kept: an object without kind or name was loaded, and this may be the one that was meant"},
		{name: "left, damaged inventory", record: &recorded, live: fact(), change: func(in *Input) { in.Inventory.Damage = []string{"torn"} },
			want: "kept: the inventory is damaged, so nothing is deleted until it has been written anew: torn"},
		{name: "left, ignored live", record: &recorded, live: fact(func(f *live.Fact) { f.Spared = "annotation y" }), want: "kept: annotation y"},
		{name: "changed file, live object only spared", obj: new(object(func(o *desired.Object) { o.Hash = "h2" })), record: &recorded,
			live: fact(func(f *live.Fact) { f.Spared = "annotation y" }), want: "update: its manifest changed"},
		{name: "left, controlled", record: &recorded, live: fact(func(f *live.Fact) { f.Controlled = true }), want: "kept: another object controls it by now"},
		{name: "left, another's by now", record: &recorded, live: fact(func(f *live.Fact) { f.Member = theirs }), want: ""},
		{name: "left, made anew by somebody", record: &recorded, live: fact(func(f *live.Fact) { f.Member, f.UID = "", "u2" }), want: ""},
		{name: "left and gone", record: &recorded, want: ""},
		{name: "left, but of a kind that is not served in the file's version", record: &recorded, live: fact(),
			obj: new(object(func(o *desired.Object) {
				o.Ref.Version, o.Ref.Namespace, o.Kind, o.Problem = "v0", "", cluster.Kind{}, &diag.Diagnostic{Summary: "not served"}
			})), want: "refused: not served"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := Input{Owner: "shop", Inventory: inventory.Of("shop", mine), Complete: true, Owners: map[string]string{theirs: "other"}}
			if tt.obj != nil {
				in.Set.Objects = []desired.Object{*tt.obj}
			}
			if tt.record != nil {
				in.Inventory.Put(*tt.record)
			}
			known := map[applier.Ref]live.Fact{}
			if tt.live != nil {
				known[ref.Identity()] = *tt.live
			}
			in.Live = live.NewFacts(known)
			if tt.change != nil {
				tt.change(&in)
			}
			if diff := cmp.Diff(tt.want, summary(Compute(in))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestImmutable: only what is ours alone is deleted to make it anew, and what
// is said of the rest does not advise to let it be deleted.
func TestImmutable(t *testing.T) {
	recorded, intended := record(ref), inventory.Record{Ref: ref}
	claim := applier.Ref{Version: "v1", Kind: "PersistentVolumeClaim", Namespace: "shop", Name: "a"}
	ofClaim := record(claim)
	foreign := func(f *live.Fact) { f.Member, f.UID = "", "u2" }
	const changed = "immutable fields changed: spec.a, spec.b"
	for _, tt := range []struct {
		name    string
		ref     applier.Ref
		record  *inventory.Record
		live    *live.Fact
		adopt   bool
		allowed bool
		summary string
	}{
		{name: "ours by label", ref: ref, record: &recorded, live: fact(), allowed: true, summary: changed},
		{name: "ours by label, applied just before a crash", ref: ref, record: &intended, live: fact(), allowed: true, summary: changed},
		{name: "ours by uid", ref: ref, record: &recorded, live: fact(func(f *live.Fact) { f.Member = "" }), allowed: true, summary: changed},
		{name: "made by hand", ref: ref, live: fact(foreign), summary: changed + "; it exists, but was not applied by this sync"},
		{name: "made by hand, intended", ref: ref, record: &intended, live: fact(foreign), summary: changed + "; it exists, but was not applied by this sync"},
		{name: "made anew by hand", ref: ref, record: &recorded, live: fact(foreign), summary: changed + "; it exists, but was not applied by this sync"},
		{name: "another sync's", ref: ref, live: fact(func(f *live.Fact) { f.Member = theirs }), adopt: true,
			summary: changed + "; it exists, but was not applied by this sync"},
		{name: "controlled", ref: ref, record: &recorded, live: fact(func(f *live.Fact) { f.Controlled = true }), summary: changed + "; another object controls it"},
		{name: "protected", ref: claim, record: &ofClaim, live: fact(), summary: changed},
		{name: "created meanwhile", ref: ref, summary: "it was created meanwhile; the next sync looks again"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := Input{Owner: "shop", Inventory: inventory.Of("shop", mine), Complete: true, Adopt: tt.adopt}
			in.Set.Objects = []desired.Object{object(func(o *desired.Object) { o.Ref, o.Hash = tt.ref, "h2" })}
			if tt.record != nil {
				in.Inventory.Put(*tt.record)
			}
			known := map[applier.Ref]live.Fact{}
			if tt.live != nil {
				known[tt.ref.Identity()] = *tt.live
			}
			in.Live = live.NewFacts(known)
			s := Compute(in)[0]
			if s.Action != applier.Update && s.Action != applier.Create {
				t.Fatalf("%s: %s", s.Action, s.Reason)
			}
			if got := s.Recreatable(); got != tt.allowed {
				t.Errorf("recreatable: %t, want %t", got, tt.allowed)
			}
			got, advice := s.Immutable([]string{"spec.a", "spec.b"})
			if got != tt.summary {
				t.Errorf("got %q, want %q", got, tt.summary)
			}
			if advised := strings.Contains(advice, "recreate = true"); advised != tt.allowed {
				t.Errorf("advice: %q", advice)
			}
		})
	}
}

// TestTwins: an object that moved to another API group is not deleted for
// having left the old one.
func TestTwins(t *testing.T) {
	old := applier.Ref{Group: "extensions", Version: "v1beta1", Kind: "Ingress", Namespace: "shop", Name: "a"}
	moved := applier.Ref{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress", Namespace: "shop", Name: "a"}
	recorded := record(moved)
	const twin = "kept: it is the same object as shop:Ingress.networking.k8s.io/a, which is wanted"
	for _, tt := range []struct {
		name   string
		record *inventory.Record // of the object under its new name
		live   *live.Fact        // seen under its new name
		change func(*desired.Object)
		want   string
	}{
		{name: "the same", live: fact(), want: twin},
		{name: "the same, without label", live: fact(func(f *live.Fact) { f.Member = "" }), want: twin},
		{name: "the same, which the set has broken", record: &recorded, live: fact(), want: twin,
			change: func(o *desired.Object) { o.Problem = &diag.Diagnostic{Summary: "broken"} }},
		{name: "the same as was recorded, not seen now", record: &recorded, want: twin},
		{name: "another of the same name", live: fact(func(f *live.Fact) { f.UID = "u2" }), want: "prune: no file declares it any more"},
		{name: "none yet", want: "prune: no file declares it any more"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := Input{Owner: "shop", Inventory: inventory.Of("shop", mine), Complete: true}
			in.Inventory.Put(record(old))
			known := map[applier.Ref]live.Fact{old.Identity(): *fact()}
			in.Set.Objects = []desired.Object{object(func(o *desired.Object) { o.Ref = moved })}
			if tt.change != nil {
				tt.change(&in.Set.Objects[0])
			}
			if tt.record != nil {
				in.Inventory.Put(*tt.record)
			}
			if tt.live != nil {
				known[moved.Identity()] = *tt.live
			}
			in.Live = live.NewFacts(known)
			if got := summary(Compute(in)[1:]); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestHolders: what holds an object that stays is not deleted.
func TestHolders(t *testing.T) {
	in := Input{Owner: "shop", Inventory: inventory.Of("shop", mine), Complete: true}
	known := map[applier.Ref]live.Fact{}
	add := func(r inventory.Record, f *live.Fact) {
		in.Inventory.Put(r)
		known[r.Ref.Identity()] = *f
	}
	spared := fact(func(f *live.Fact) { f.Spared = "annotation y" })
	definition := applier.Ref{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}
	widgets, gadgets := definition, definition
	widgets.Name, gadgets.Name = "widgets.example.com", "gadgets.example.com"
	widget := record(applier.Ref{Group: "example.com", Version: "v1", Kind: "Widget", Name: "w"})
	widget.Resource = "widgets"
	add(record(applier.Ref{Version: "v1", Kind: "Namespace", Name: "shop"}), fact())
	add(record(applier.Ref{Version: "v1", Kind: "Namespace", Name: "empty"}), fact())
	add(record(ref), spared)
	add(record(widgets), fact())
	add(record(gadgets), fact())
	add(widget, spared)
	in.Live = live.NewFacts(known)
	got := map[string]string{}
	for _, s := range Compute(in) {
		got[s.Ref.String()] = fmt.Sprintf("%s: %s", s.Action, s.Reason)
	}
	want := map[string]string{
		"Namespace/shop":    "kept: shop:ConfigMap/a stays, and would be deleted with it",
		"Namespace/empty":   "prune: no file declares it any more",
		ref.String():        "kept: annotation y",
		widgets.String():    "kept: Widget.example.com/w stays, and would be deleted with it",
		gadgets.String():    "prune: no file declares it any more",
		widget.Ref.String(): "kept: annotation y",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAdviseOnce(t *testing.T) {
	var in Input
	in.Inventory = inventory.Of("shop", mine)
	for _, detail := range []string{"do this", "do that", "do this"} {
		in.Set.Objects = append(in.Set.Objects, object(func(o *desired.Object) { o.Problem = &diag.Diagnostic{Summary: "wrong", Detail: detail} }))
	}
	var got []string
	for _, s := range Compute(in) {
		got = append(got, s.Diagnostic.Detail)
	}
	if diff := cmp.Diff([]string{"do this", "do that", ""}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if detail := in.Set.Objects[2].Problem.Detail; detail == "" {
		t.Error("the set was changed")
	}
}

func summary(steps []Step) string {
	var lines []string
	for _, s := range steps {
		lines = append(lines, fmt.Sprintf("%s: %s", s.Action, s.Reason))
	}
	return strings.Join(lines, "\n")
}

func TestProtected(t *testing.T) {
	for kind, want := range map[applier.Ref]bool{
		{Kind: "Namespace"}:             true,
		{Kind: "PersistentVolume"}:      true,
		{Kind: "PersistentVolumeClaim"}: true,
		{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}: true,
		{Group: "example.com", Kind: "Namespace"}:                         false,
		{Kind: "Secret"}: false,
	} {
		if got := Protected(kind); got != want {
			t.Errorf("Protected(%s) = %t, want %t", kind, got, want)
		}
	}
}
