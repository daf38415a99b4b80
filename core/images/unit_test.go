package images

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

func TestFilter(t *testing.T) {
	f := newFilter(Settings{
		Include: []string{"docker.io/*", "quay.io/acme/*", "index.docker.io/nginx"},
		Exclude: []string{"registry-1.docker.io/library/evil", "quay.io/acme/*-test"},
	})
	for name, want := range map[string]string{
		"index.docker.io/library/nginx": "",
		"index.docker.io/library/evil":  "excluded",
		"quay.io/acme/shop":             "",
		"quay.io/acme/shop-test":        "excluded",
		"quay.io/other/shop":            "not included",
		"gcr.io/acme/shop":              "not included",
	} {
		if got := f.refuses(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	only := newFilter(Settings{Include: []string{"docker.io/nginx"}})
	if got := only.refuses("index.docker.io/library/nginx"); got != "" {
		t.Errorf("docker.io/nginx does not include it: %s", got)
	}
}

func TestWindow(t *testing.T) {
	view := func(n, current int) View {
		v := View{Current: "gone"}
		for i := range n {
			v.Tags = append(v.Tags, Tag{Name: fmt.Sprint(i), Current: i == current})
		}
		return v
	}
	show := func(rows []Row) []string {
		var all []string
		for _, r := range rows {
			all = append(all, fmt.Sprintf("%s %s%d", r.Relation, r.Tag.Name, r.Count))
		}
		return all
	}
	for _, test := range []struct {
		name  string
		view  View
		limit int
		want  []string
	}{
		{"the newest runs", view(3, 0), 2, []string{"current 00", "older 10"}},
		{"in the middle", view(3, 1), 0, []string{"newer 00", "current 10", "older 20"}},
		{"just below the limit", view(5, 2), 2, []string{"newer 00", "newer 10", "current 20"}},
		{"far below", view(9, 6), 2, []string{"newer 00", "newer 10", "omitted 4", "current 60"}},
		{"not listed", view(2, -1), 1, []string{"newer 00", "unlisted gone0"}},
		{"nothing", view(0, -1), 1, nil},
	} {
		if diff := cmp.Diff(test.want, show(test.view.Window(test.limit))); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}

// TestMerge: what a listing that lacks tags does to what counts.
func TestMerge(t *testing.T) {
	list := func(from, to int) []registry.Tag {
		var tags []registry.Tag
		for i := from; i < to; i++ {
			tags = append(tags, registry.Tag{Name: fmt.Sprintf("t%02d", i), Digest: fmt.Sprint("sha256:", i)})
		}
		return tags
	}
	bare := func(tags []registry.Tag) []registry.Tag {
		var all []registry.Tag
		for _, t := range tags {
			all = append(all, registry.Tag{Name: t.Name})
		}
		return all
	}
	all := map[string]bool{}
	for _, tag := range list(0, 10) {
		all[tag.Name] = true
	}
	type outcome struct{ Tags, Digests, Suspects, Fresh, Moved, Gone int }
	for _, test := range []struct {
		name     string
		prev     []registry.Tag
		suspects map[string]bool
		got      []registry.Tag
		digests  bool
		want     outcome
	}{
		{"first", nil, nil, list(0, 10), true, outcome{Tags: 10, Digests: 10, Fresh: 10}},
		{"same", list(0, 10), nil, list(0, 10), true, outcome{Tags: 10, Digests: 10}},
		{"three gone", list(0, 10), nil, list(3, 10), true, outcome{Tags: 7, Digests: 7, Gone: 3}},
		{"four gone", list(0, 10), nil, list(4, 10), true, outcome{Tags: 10, Digests: 10, Suspects: 4}},
		{"four gone, twice", list(0, 10), all, list(4, 10), true, outcome{Tags: 6, Digests: 6, Gone: 4}},
		{"four gone and one new", list(0, 10), nil, list(4, 11), true, outcome{Tags: 11, Digests: 11, Suspects: 4, Fresh: 1}},
		{"other four gone", list(0, 10), map[string]bool{"t00": true, "t01": true}, list(4, 10), true,
			outcome{Tags: 8, Digests: 8, Suspects: 2, Gone: 2}},
		{"all gone", list(0, 2), nil, nil, true, outcome{Tags: 2, Digests: 2, Suspects: 2}},
		{"all gone, twice", list(0, 2), all, nil, true, outcome{Gone: 2}},
		{"digests gone", list(0, 10), nil, bare(list(0, 10)), true, outcome{Tags: 10, Digests: 10, Suspects: 10}},
		{"digests gone, twice", list(0, 10), all, bare(list(0, 10)), true, outcome{Tags: 10}},
		{"digests gone that nobody needs", list(0, 10), nil, bare(list(0, 10)), false, outcome{Tags: 10}},
		{"moved", list(0, 2), nil, []registry.Tag{{Name: "t00", Digest: "sha256:x"}, {Name: "t01", Digest: "sha256:1"}}, true,
			outcome{Tags: 2, Digests: 2, Moved: 1}},
	} {
		d := merge(test.prev, test.suspects, byName(test.got), test.digests)
		got := outcome{len(d.tags), 0, len(d.suspects), len(d.fresh), len(d.moved), len(d.gone)}
		for _, tag := range d.tags {
			if tag.Digest != "" {
				got.Digests++
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
		if s := suspectsOf(d.tags, d.suspects, time.Now()); !cmp.Equal(s.names(d.tags), d.suspects) {
			t.Errorf("%s: suspects are %v, kept as %v", test.name, d.suspects, s.names(d.tags))
		}
	}
}
