package rivals_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/declare"
	"github.com/sluice-gitops/sluice/core/release/resource"
	"github.com/sluice-gitops/sluice/core/release/rivals"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// one is a declaration at work.
type one struct {
	id       string
	declared declare.Declaration
	record   release.Record
	leaving  bool
	inherits bool
}

func (o *one) Claim() rivals.Claim {
	return rivals.Claim{ID: o.id, Declared: &o.declared, Record: &o.record, Leaving: o.leaving, Inherits: o.inherits}
}

// declared declares the release shop/db: a block, or a resource in a namespace.
func declared(id, namespace string) *one {
	d := declare.Declaration{Helm: "helm.helm.a", Place: "there", Spec: release.Spec{Owner: id, Ref: helm.ReleaseRef{Namespace: "shop", Name: "db"}}}
	if namespace == "" {
		d.Block = &config.Release{}
	} else {
		d.Resource = &resource.Resource{Ref: applier.Ref{Namespace: namespace}, UID: id}
	}
	return &one{id: id, declared: d}
}

// changed is o after change.
func (o *one) changed(change func(*one)) *one {
	change(o)
	return o
}

// book is a Book of all, in one cluster.
func book(all ...*one) *rivals.Book[*one] {
	var b rivals.Book[*one]
	b.Collect(slices.Values(all), func(string) string { return "cluster" })
	return &b
}

var target = rivals.Target{Cluster: "cluster", Ref: helm.ReleaseRef{Namespace: "shop", Name: "db"}}

func TestFirst(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	made := func(o *one, owner string, at time.Time) *one {
		o.record = release.Record{Owner: owner, Ref: o.declared.Spec.Ref, Last: helm.Revision{Number: 1, Owner: owner, Updated: at}}
		return o
	}
	created := func(id, namespace string, at time.Time) *one {
		return declared(id, namespace).changed(func(o *one) { o.declared.Resource.Created = at })
	}
	twin := func(id, uid string) *one {
		return declared(id, "shop").changed(func(o *one) { o.declared.Resource.UID = uid })
	}
	tests := map[string]struct {
		one  *one
		all  []*one // others
		want string
	}{
		"alone":                         {declared("release.a", ""), nil, "release.a"},
		"the first by name":             {declared("release.b", ""), []*one{declared("release.a", "")}, "release.a"},
		"a block before a resource":     {declared("h/shop/a", "shop"), []*one{declared("release.z", "")}, "release.z"},
		"a resource of the namespace":   {created("h/other/a", "other", at), []*one{created("h/shop/b", "shop", at.Add(time.Hour))}, "h/shop/b"},
		"what is older":                 {created("h/shop/a", "shop", at.Add(time.Hour)), []*one{created("h/shop/b", "shop", at)}, "h/shop/b"},
		"who has made it":               {declared("release.a", ""), []*one{made(declared("h/other/z", "other"), "h/other/z", at)}, "h/other/z"},
		"who has made it last":          {made(declared("release.a", ""), "release.a", at), []*one{made(declared("release.b", ""), "release.b", at.Add(time.Hour))}, "release.b"},
		"who inherits":                  {declared("release.a", ""), []*one{declared("release.b", "").changed(func(o *one) { o.inherits = true })}, "release.b"},
		"one that leaves":               {declared("release.b", ""), []*one{declared("release.a", "").changed(func(o *one) { o.leaving = true })}, "release.b"},
		"the same resource":             {twin("h/b", "1"), []*one{twin("h/a", "1")}, "h/b"},
		"the same resource, and others": {twin("h/b", "1"), []*one{twin("h/a", "1"), declared("release.z", "")}, "release.z"},
		"another release":               {declared("release.b", ""), []*one{declared("release.a", "").changed(func(o *one) { o.declared.Spec.Ref.Name = "web" })}, "release.b"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			first, why := book(append(tt.all, tt.one)...).First(tt.one)
			if first.id != tt.want || (why == "") != (tt.want == tt.one.id) {
				t.Errorf("%s goes on with it, since it %q; want %s", first.id, why, tt.want)
			}
		})
	}
}

// TestSeen: what a run has seen counts for more than what was recorded, and is
// forgotten when nobody declares the release any more.
func TestSeen(t *testing.T) {
	a, b := declared("release.a", ""), declared("release.b", "")
	a.record = release.Record{Ref: a.declared.Spec.Ref, Last: helm.Revision{Number: 3, Owner: "release.a"}}
	all := book(a, b)
	want := func(want *one) {
		t.Helper()
		if first, why := all.First(a); first != want {
			t.Errorf("%s goes on, since it %s; want %s", first.id, why, want.id)
		}
	}
	want(a)
	all.Saw(target, "release.b")
	want(b)
	all.Collect(slices.Values([]*one{a, b}), func(string) string { return "cluster" })
	want(b)
	all.Forget(target)
	want(a)
	all.Saw(target, "release.b")
	all.Collect(slices.Values([]*one{}), nil)
	all.Collect(slices.Values([]*one{a, b}), func(string) string { return "cluster" })
	want(a)
}

func TestWhoDeclares(t *testing.T) {
	a, b := declared("release.a", ""), declared("h/shop/b", "shop")
	all := book(b, a)
	if got := all.Declaring(all.At("h/shop/b")); !slices.Equal(got, []*one{a, b}) || all.At("release.a") != target {
		t.Errorf("%v declare %v", got, all.At("release.a"))
	}
	if got := all.DeclaredBy("cluster", "h/shop/b"); got != "h/shop/b (there)" {
		t.Errorf("h/shop/b is %q", got)
	}
	if got := all.DeclaredBy("other", "h/shop/b"); got != "" {
		t.Errorf("in another cluster h/shop/b is %q", got)
	}
	// A resource that cannot be read any more is about what it was about before.
	b.record, b.declared.Spec = release.Record{Owner: "h/shop/b", Ref: target.Ref}, release.Spec{}
	if got := book(b).At("h/shop/b"); got != target {
		t.Errorf("it is about %v", got)
	}
}

func TestTurns(t *testing.T) {
	var b rivals.Book[*one]
	old := rivals.Target{Cluster: "cluster", Ref: helm.ReleaseRef{Namespace: "shop", Name: "old"}}
	if by := b.Begin("a", []rivals.Target{target, old}); by != "" {
		t.Fatalf("%s is at work", by)
	}
	if by := b.Begin("b", []rivals.Target{old}); by != "a" {
		t.Errorf("%q is at work, want a", by)
	}
	if by := b.Begin("c", []rivals.Target{target}); by != "a" {
		t.Errorf("%q is at work, want a", by)
	}
	if waiting := b.End("b", []rivals.Target{old}); waiting != nil {
		t.Errorf("b ended a's work, and %q wait", waiting)
	}
	if waiting := b.End("a", []rivals.Target{target, old}); !slices.Equal(waiting, []string{"c", "b"}) {
		t.Errorf("%q wait", waiting)
	}
	if by := b.Begin("b", []rivals.Target{old}); by != "" {
		t.Errorf("%s is at work as yet", by)
	}
}

func TestHeirs(t *testing.T) {
	leaver := declared("release.old", "")
	leaver.leaving = true
	tests := map[string]struct {
		goes *one
		all  []*one
		want string
	}{
		"nobody":                       {declared("release.a", ""), nil, ""},
		"one that goes too":            {declared("release.a", ""), []*one{leaver}, ""},
		"a renamed block":              {declared("release.a", ""), []*one{declared("release.b", "")}, "release.b"},
		"the first by name":            {declared("release.a", ""), []*one{declared("release.d", ""), declared("release.c", "")}, "release.c"},
		"a block before a resource":    {declared("release.a", ""), []*one{declared("helmrelease.a/shop/db", "shop"), declared("release.b", "")}, "release.b"},
		"a resource beside it":         {declared("release.a", ""), []*one{declared("helmrelease.a/shop/db", "shop")}, "helmrelease.a/shop/db"},
		"a resource of somebody else":  {declared("release.a", ""), []*one{declared("helmrelease.a/tenant/evil", "tenant")}, ""},
		"one of the resource's own":    {declared("helmrelease.a/ops/db", "ops"), []*one{declared("helmrelease.a/ops/db2", "ops")}, "helmrelease.a/ops/db2"},
		"another tenant of a resource": {declared("helmrelease.a/ops/db", "ops"), []*one{declared("helmrelease.a/tenant/evil", "tenant")}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := ""
			if heir := rivals.Heir(slices.Values(append(tt.all, tt.goes)), tt.goes); heir != nil {
				got = heir.id
			}
			if got != tt.want {
				t.Errorf("the heir is %q, want %q", got, tt.want)
			}
		})
	}
}

func TestClusterOf(t *testing.T) {
	of := func(text string) string {
		cluster, ok := rivals.ClusterOf(config.PluginConfig{Kind: "helm", Type: "helm", JSON: []byte(text)})
		if !ok {
			t.Errorf("%s tells nothing", text)
		}
		return cluster
	}
	plain := of(`{"kubeconfig":"/k","context":null}`)
	if got := of(`{"kubeconfig":"/k","namespaces":["a"],"in_cluster":false,"max_chart":7,"storage":"configmap","learned_later":"x"}`); got != plain {
		t.Error("what does not name a cluster makes another one of it")
	}
	if got := of(`{"kubeconfig":"/k","context":"other"}`); got == plain {
		t.Error("another context is the same cluster")
	}
	if cluster, ok := rivals.ClusterOf(config.PluginConfig{}); ok {
		t.Errorf("nothing is the cluster %s", cluster)
	}
}
