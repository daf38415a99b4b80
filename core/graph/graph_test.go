package graph_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/graph"
)

// parse builds a graph from "a: b c" lines: a depends on b and c.
func parse(text string) (*graph.Graph[string], error) {
	var b graph.Builder[string]
	for line := range strings.Lines(text) {
		id, deps, _ := strings.Cut(strings.TrimSpace(line), ":")
		if id == "" {
			continue
		}
		b.Add(id, "value of "+id)
		for _, dep := range strings.Fields(deps) {
			b.Depend(id, dep)
		}
	}
	return b.Build()
}

func ids(g *graph.Graph[string]) (found []string) {
	for id, v := range g.All() {
		if v != "value of "+id {
			panic("wrong value for " + id)
		}
		found = append(found, id)
	}
	return found
}

func TestOrder(t *testing.T) {
	tests := map[string]struct {
		text string
		want []string
	}{
		"empty":            {"", nil},
		"unrelated, by ID": {"c:\na:\nb:", []string{"a", "b", "c"}},
		"chain":            {"a: b\nb: c\nc:", []string{"c", "b", "a"}},
		"diamond":          {"a: c b\nb: d\nc: d\nd:", []string{"d", "b", "c", "a"}},
		"edge twice":       {"a: b b\nb:", []string{"b", "a"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g, err := parse(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, ids(g)); diff != "" {
				t.Error(diff)
			}
			var back []string
			for id := range g.Backward() {
				back = append(back, id)
			}
			slices.Reverse(back)
			if diff := cmp.Diff(tt.want, back); diff != "" {
				t.Errorf("Backward is not All reversed:\n%s", diff)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"self":            {"a: a", "dependency cycle: a -> a"},
		"pair":            {"b: a\na: b", "dependency cycle: a -> b -> a"},
		"begins smallest": {"x: z\nz: m\nm: x y\ny:", "dependency cycle: m -> x -> z -> m"},
		"two circles": {"a: b\nb: a\nc: d\nd: c",
			"dependency cycle: a -> b -> a\ndependency cycle: c -> d -> c"},
		"unknown":   {"a: b", `"a" depends on "b", but there is no node "b"`},
		"duplicate": {"a:\na:", `node "a" is declared twice`},
		"all at once": {"a: a x\na:",
			"node \"a\" is declared twice\n\"a\" depends on \"x\", but there is no node \"x\"\ndependency cycle: a -> a"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g, err := parse(tt.text)
			if err == nil {
				t.Fatalf("no error, graph:\n%s", g)
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
	_, err := parse("a: b\nb: a")
	var cycle *graph.CycleError
	if !errors.As(err, &cycle) || len(cycle.Path) != 3 {
		t.Errorf("error %v is no *CycleError with its path", err)
	}
}

func TestNeighbours(t *testing.T) {
	g, err := parse("app: db cache\nweb: app\ndb: ns\ncache: ns\nns:\nother:")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		got  []string
		want []string
	}{
		{"Dependencies", g.Dependencies("app"), []string{"cache", "db"}},
		{"Dependents", g.Dependents("ns"), []string{"cache", "db"}},
		{"AllDependencies", g.AllDependencies("web"), []string{"ns", "cache", "db", "app"}},
		{"AllDependents", g.AllDependents("ns"), []string{"cache", "db", "app", "web"}},
		{"none", g.AllDependents("other"), []string{}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("%s:\n%s", tt.name, diff)
		}
	}
	g.Dependencies("app")[0] = "changed"
	if g.Dependencies("app")[0] != "cache" {
		t.Error("a caller can change the graph through a returned slice")
	}
}

// Whatever the graph, each node comes after its dependencies, and the order
// in which nodes and edges were added does not show.
func TestOrderOfRandomGraphs(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		var lines []string
		for i := range 40 {
			line := fmt.Sprintf("n%02d:", i)
			for range r.IntN(4) {
				if i > 0 {
					line += fmt.Sprintf(" n%02d", r.IntN(i))
				}
			}
			lines = append(lines, line)
		}
		first := mustParse(t, lines)
		r.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		second := mustParse(t, lines)
		if diff := cmp.Diff(first.String(), second.String()); diff != "" {
			t.Fatalf("seed %d: order depends on the order of Add:\n%s", seed, diff)
		}
		seen := map[string]bool{}
		for id := range first.All() {
			for _, dep := range first.Dependencies(id) {
				if !seen[dep] {
					t.Fatalf("seed %d: %s comes before its dependency %s", seed, id, dep)
				}
			}
			seen[id] = true
		}
	}
}

func mustParse(t *testing.T, lines []string) *graph.Graph[string] {
	t.Helper()
	g, err := parse(strings.Join(lines, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return g
}
