package declare_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/declare"
	"github.com/sluice-gitops/sluice/core/release/resource"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// block is a release block with something in most places, changed.
func block(change func(*config.Release)) config.Release {
	r := config.Release{
		Block:     config.Block{Address: "release.web", Type: "release", Name: "web", Range: diag.Range{File: "a.hcl", Start: diag.Pos{Line: 3, Column: 1}}},
		Namespace: "shop", ReleaseName: "web", Helm: "helm.helm.a", Applier: "applier.kubernetes.a", DependsOn: []string{"sync.base"},
		Chart:   config.ReleaseChart{Source: "source.git.charts", Path: "charts/web"},
		From:    []config.ValuesFrom{{Source: "source.git.values", Path: "web.yaml"}, {Secret: &config.ObjectKey{Namespace: "shop", Name: "web", Key: "v"}}},
		Timeout: time.Minute, CRDs: "create", OnMove: "refuse",
		OnFailure: config.OnFailure{Remediate: "none", Retries: 2},
		Drift:     config.ReleaseDrift{Mode: "correct"},
	}
	r.Values.JSON = []byte(`{"a":1}`)
	if change != nil {
		change(&r)
	}
	return r
}

func TestBlock(t *testing.T) {
	d := declare.Block(block(nil))
	want := release.Spec{
		Owner: "release.web", Ref: helm.ReleaseRef{Namespace: "shop", Name: "web"},
		Chart:   release.Chart{Tree: &release.TreeChart{Source: "source.git.charts", Path: "charts/web"}},
		Timeout: time.Minute, CRDs: helm.CRDsCreate, OnMove: release.MoveRefuse,
		Remedy: release.Remedy{Retries: 2}, Drift: release.Drift{Mode: release.DriftCorrect},
	}
	got := d.Spec
	if got.Values.Reveal() != `{"a":1}` || len(got.From) != 2 || got.From[1].Secret == nil || *got.From[1].Secret != (release.ObjectKey{Namespace: "shop", Name: "web", Key: "v"}) {
		t.Errorf("values %q from %+v", got.Values.Reveal(), got.From)
	}
	got.Values, got.From, got.Locate = secret.Secret{}, nil, nil
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(secret.Secret{})); diff != "" {
		t.Error(diff)
	}
	if got, want := d.Instances(), []string{"source.git.charts", "source.git.values", "helm.helm.a", "applier.kubernetes.a"}; !slices.Equal(got, want) {
		t.Errorf("instances %q, want %q", got, want)
	}
	if d.Keeps() || d.Suspended != nil || d.Place != "a.hcl:3:1" {
		t.Errorf("keeps %t, suspended %v, place %s", d.Keeps(), d.Suspended, d.Place)
	}
	for name, change := range map[string]func(*config.Release){
		"on_remove": func(r *config.Release) { r.OnRemove = "keep" },
		"suspend":   func(r *config.Release) { r.Suspend = true },
	} {
		if !declare.Block(block(change)).Keeps() {
			t.Errorf("with %s the release goes with its block", name)
		}
	}
}

func TestKey(t *testing.T) {
	key := func(change func(*config.Release)) string { return declare.Block(block(change)).Key }
	plain := key(nil)
	if moved := key(func(r *config.Release) {
		r.Range.Start.Line++
		r.From[0].Range.Start.Line++
		r.Chart.Range.Start.Line++
	}); moved != plain {
		t.Error("a moved block is another declaration")
	}
	for name, change := range map[string]func(*config.Release){
		"values":   func(r *config.Release) { r.Values.JSON = []byte(`{"a":2}`) },
		"password": func(r *config.Release) { r.Chart.Password = secret.New("new") },
		"chart":    func(r *config.Release) { r.Chart.Path = "charts/other" },
		"suspend":  func(r *config.Release) { r.Suspend = true },
	} {
		if key(change) == plain {
			t.Errorf("a change of %s goes unnoticed", name)
		}
	}
}

func TestResource(t *testing.T) {
	c := declare.Cluster{Applier: "applier.kubernetes.a", Helm: "helm.helm.a", Name: "a"}
	there := map[string]bool{"helmrelease-v1beta1.a/shop/old": true, "fluxhelmrelease.a/shop/old": true, "fluxhelmrelease.a/shop/db": true}
	exists := func(id string) bool { return there[id] }
	r := resource.Resource{
		Ref: applier.Ref{Group: resource.GroupHelmRelease, Kind: "HelmRelease", Namespace: "shop", Name: "web"}, UID: "1", Declared: "x",
		DependsOn: []string{"shop/db", "shop/old"}, Suspended: true, SuspendReason: "incident",
	}
	d := c.Resource(r, nil, exists)
	if want := []string{"helmrelease.a/shop/db", "helmrelease.a/shop/old"}; !slices.Equal(d.DependsOn, want) {
		t.Errorf("depends on %q, want %q: its own kind comes first", d.DependsOn, want)
	}
	if d.Place != "HelmRelease shop/web" || d.Helm != c.Helm || d.Applier != c.Applier || d.Suspended == nil || d.Suspended.Reason != "incident" {
		t.Errorf("%+v", d)
	}
	other := r
	other.Generation++
	if c.Resource(other, nil, exists).Key != d.Key {
		t.Error("a change of the status is a change of the declaration")
	}
	for name, changed := range map[string]declare.Declaration{
		"another mistake":  c.Resource(r, errors.New("bad"), exists),
		"other options":    declare.Cluster{Options: resource.Options{CrossNamespace: true}}.Resource(r, nil, exists),
		"one made anew":    c.Resource(resource.Resource{UID: "2", Declared: "x"}, nil, exists),
		"one that changed": c.Resource(resource.Resource{UID: "1", Declared: "y"}, nil, exists),
	} {
		if changed.Key == d.Key {
			t.Errorf("%s has the same key", name)
		}
	}
}

func TestNames(t *testing.T) {
	d := declare.Declaration{
		Spec:     release.Spec{Ref: helm.ReleaseRef{Namespace: "prod", Name: "shop-web"}},
		Resource: &resource.Resource{Ref: applier.Ref{Namespace: "shop", Name: "web"}},
	}
	for text, want := range map[string]declare.Fit{
		"shop-web": declare.FitsRelease, "prod/shop-web": declare.FitsRelease, "web": declare.FitsSource, "shop/web": declare.FitsSource, "shop:helmrelease/web": declare.FitsSource,
		"shop/shop-web": declare.Unfit, "prod/web": declare.Unfit, "prod:helmrelease/web": declare.Unfit, "shop": declare.Unfit, "": declare.Unfit,
		"prod/old": declare.FitsFormer, "old": declare.FitsFormer,
	} {
		if got := d.Called(declare.ParseName(text), release.Record{Ref: helm.ReleaseRef{Namespace: "prod", Name: "old"}}); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	unread := declare.Declaration{Resource: d.Resource}
	if got := unread.Called(declare.ParseName("prod/shop-web"), release.Record{Ref: d.Spec.Ref}); got != declare.FitsRelease {
		t.Errorf("what cannot be read any more has lost its name: %d", got)
	}
}
