package leave_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/declare"
	"github.com/sluice-gitops/sluice/core/release/leave"
	"github.com/sluice-gitops/sluice/core/release/resource"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// blocks are n that are installed, and one that is not.
func blocks(n int) []leave.Block {
	list := []leave.Block{{ID: "release.never"}}
	for i := range n {
		list = append(list, leave.Block{ID: fmt.Sprint("release.", i), Installed: true})
	}
	return list
}

func TestManyBlocksAreHeld(t *testing.T) {
	tests := map[string]struct {
		gone, before, left int
		held               bool
	}{
		"the only one":           {1, 1, 0, true},
		"the last of two":        {1, 2, 0, true}, // what the other one is about goes on, or was never there
		"one for another":        {1, 1, 1, false},
		"all three":              {3, 3, 0, true},
		"all three for another":  {3, 3, 1, false},
		"all four for others":    {4, 4, 4, true},
		"four of five":           {4, 5, 1, false},
		"ten of a hundred":       {10, 100, 90, false},
		"eleven of hundreds":     {11, 300, 289, true},
		"none that is installed": {0, 1, 0, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			list := leave.Blocks(blocks(tt.gone), tt.before, tt.left, at)
			if never := list[0]; never.Held != "" || !never.After.IsZero() {
				t.Errorf("what was never installed waits: %+v", never)
			}
			for _, l := range list[1:] {
				obstacle, reason := l.Waits("", at)
				if held := obstacle == leave.Approval; held != tt.held || l.Held != list[1].Held {
					t.Errorf("waits for %d (%s), want it to be held: %t", obstacle, reason, tt.held)
				}
			}
		})
	}
	a, b := leave.Blocks(blocks(11), 300, 289, at), leave.Blocks(blocks(12), 300, 288, at)
	if a[1].Held == b[1].Held {
		t.Error("the approval of some is one of others")
	}
}

func TestWaits(t *testing.T) {
	l := leave.Blocks(blocks(1), 5, 4, at)[1]
	held := leave.Blocks(blocks(4), 4, 0, at)[1]
	last := leave.Blocks(blocks(1), 1, 0, at)[1]
	tests := map[string]struct {
		l         leave.Leaving
		suspended string
		at        time.Time
		want      leave.Obstacle
		reason    string
	}{
		"at first": {l, "", at, leave.Return,
			"its block is not in the configuration any more: it is uninstalled at 2026-03-01T12:01:00Z, unless it is declared again"},
		"after the grace": {l, "", at.Add(time.Minute), leave.None, ""},
		"by a person":     {l, "suspended by ann", at.Add(time.Hour), leave.Suspension, "suspended by ann; it is to be uninstalled then: " + l.Why},
		"the last one": {last, "", at.Add(time.Hour), leave.Approval,
			"for an approval: no release is left in the configuration, and this one is to be uninstalled"},
		"held, and suspended": {held, "suspended by ann", at.Add(time.Hour), leave.Approval, "for an approval: 4 of 4 releases left the configuration at once, and are to be uninstalled"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if o, reason := tt.l.Waits(tt.suspended, tt.at); o != tt.want || reason != tt.reason {
				t.Errorf("waits for %d, %q; want %d, %q", o, reason, tt.want, tt.reason)
			}
		})
	}
}

// declared is a release of a resource in the namespace shop.
func declared(change func(*declare.Declaration)) declare.Declaration {
	d := declare.Declaration{
		Spec:     release.Spec{Owner: "me", Ref: helm.ReleaseRef{Namespace: "shop", Name: "web"}, Uninstall: release.Uninstall{Wait: true}},
		Place:    "HelmRelease shop/web",
		Resource: &resource.Resource{Ref: applier.Ref{Namespace: "shop", Name: "web"}},
	}
	if change != nil {
		change(&d)
	}
	return d
}

func TestDeletedResource(t *testing.T) {
	tests := map[string]struct {
		d    declare.Declaration
		with leave.Deletion
		keep bool
		why  string
	}{
		"plain":            {declared(nil), leave.Deletion{}, false, "HelmRelease shop/web was deleted"},
		"that says so":     {declared(func(d *declare.Declaration) { d.Keep = true }), leave.Deletion{}, true, "HelmRelease shop/web was deleted, which says that the release stays"},
		"suspended":        {declared(func(d *declare.Declaration) { d.Suspended = &declare.Suspended{} }), leave.Deletion{}, true, "HelmRelease shop/web was deleted, which says that its release is left alone"},
		"with its kind":    {declared(nil), leave.Deletion{Definition: true}, true, "the definition of HelmRelease shop/web was deleted"},
		"with all of them": {declared(nil), leave.Deletion{Definition: true, Uninstall: true}, false, "HelmRelease shop/web was deleted"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			want := leave.Leaving{Since: at, Why: tt.why, Keep: tt.keep, Resource: true}
			if diff := gocmp.Diff(want, leave.Resource(tt.d, tt.with, at)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestRemoval: the release is removed as it was declared last.
func TestRemoval(t *testing.T) {
	doomed := leave.Resource(declared(nil), leave.Deletion{Namespace: true}, at)
	plain := leave.Resource(declared(nil), leave.Deletion{}, at)
	other := release.Record{Owner: "before", Ref: helm.ReleaseRef{Namespace: "other", Name: "old"}, Uninstall: release.Uninstall{Wait: true, KeepHistory: true}}
	ref := declared(nil).Spec.Ref
	tests := map[string]struct {
		l    leave.Leaving
		last release.Record
		want release.Removal
	}{
		"as declared": {plain, release.Record{}, release.Removal{Owner: "me", Ref: ref, Uninstall: release.Uninstall{Wait: true}}},
		"as it was":   {plain, other, release.Removal{Owner: "before", Ref: other.Ref, Uninstall: other.Uninstall}},
		"doomed":      {doomed, release.Record{}, release.Removal{Owner: "me", Ref: ref, Uninstall: release.Uninstall{DisableHooks: true}}},
		"elsewhere":   {doomed, other, release.Removal{Owner: "before", Ref: other.Ref, Uninstall: other.Uninstall}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got release.Removal
			_, err := tt.l.End(t.Context(), declared(nil), tt.last, leave.Work{
				HandOver:  func() string { return "" },
				Uninstall: func(_ context.Context, m release.Removal) (bool, error) { got = m; return true, nil },
				Free:      func(context.Context, string) error { return nil },
			})
			if diff := gocmp.Diff(tt.want, got); diff != "" || err != nil {
				t.Error(diff, err)
			}
		})
	}
}

func TestEnd(t *testing.T) {
	errDown := errors.New("down")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errDown)
	plain := leave.Resource(declared(nil), leave.Deletion{}, at)
	kept := leave.Resource(declared(nil), leave.Deletion{Definition: true}, at)
	doomed := leave.Resource(declared(nil), leave.Deletion{Namespace: true}, at)
	tests := map[string]struct {
		l         leave.Leaving
		ctx       context.Context
		heir      string
		gone      bool // there is no release
		uninstall error
		free      error
		did       string
		text      string
		err       error
	}{
		"plain":               {l: plain, did: "uninstall web, free", text: "uninstalled web from shop"},
		"nothing left":        {l: plain, gone: true, did: "uninstall web, free", text: "there was nothing left of it to uninstall"},
		"kept":                {l: kept, did: "free", text: "it stays installed, where nothing manages it"},
		"inherited":           {l: plain, heir: "release.web", did: "free", text: "its release goes on as release.web"},
		"that fails":          {l: plain, uninstall: errDown, did: "uninstall web", err: errDown},
		"doomed, that fails":  {l: doomed, uninstall: errDown, did: "uninstall web, free", text: "uninstalled web from shop"},
		"that is held":        {l: plain, free: errDown, did: "uninstall web, free", text: "uninstalled web from shop", err: errDown},
		"interrupted":         {l: plain, ctx: ctx, did: "uninstall web", err: errDown},
		"doomed, interrupted": {l: doomed, ctx: ctx, uninstall: context.Canceled, did: "uninstall web", err: context.Canceled},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var did []string
			text, err := tt.l.End(cmp.Or(tt.ctx, t.Context()), declared(nil), release.Record{}, leave.Work{
				HandOver: func() string { return tt.heir },
				Uninstall: func(_ context.Context, m release.Removal) (bool, error) {
					did = append(did, "uninstall "+m.Ref.Name)
					return !tt.gone && tt.uninstall == nil, tt.uninstall
				},
				Free: func(_ context.Context, text string) error {
					did = append(did, "free")
					if text != tt.text {
						t.Errorf("the resource hears %q", text)
					}
					return tt.free
				},
				Logger: slog.New(slog.DiscardHandler),
			})
			if !errors.Is(err, tt.err) || err == nil && text != tt.text || strings.Join(did, ", ") != tt.did {
				t.Errorf("did %q: %q, %v; want %q: %q, %v", did, text, err, tt.did, tt.text, tt.err)
			}
		})
	}
}

// TestRecord: what earlier processes have written is read by later ones.
func TestRecord(t *testing.T) {
	const want = `{"since":"2026-03-01T12:00:00Z","why":"gone","keep":true,"after":"2026-03-01T12:01:00Z","held":"abc","many":4,"of":5}`
	l := leave.Leaving{Since: at, Why: "gone", Keep: true, After: at.Add(time.Minute), Held: "abc", Many: 4, Of: 5, Resource: true, Doomed: true}
	got, err := json.Marshal(l)
	if err != nil || string(got) != want {
		t.Errorf("%s %v, want %s", got, err, want)
	}
}
