package edit_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
)

// annotated is a Pod whose metadata is m, as it is written.
func annotated(m string) string {
	return "apiVersion: v1\nkind: Pod\n" + m + "\nspec:\n  containers: [{name: app, image: a}]\n"
}

// TestAnnotate sets annotations, and takes them away again.
func TestAnnotate(t *testing.T) {
	ab := map[string]string{"a": "true", "fluxcd.io/tag.app": "glob:*"}
	tests := map[string]struct {
		in   string // metadata
		set  map[string]string
		want string
		lost string // what taking away gives, if that is not in
	}{
		"no annotations": {"metadata:\n  name: p", ab,
			"metadata:\n  name: p\n  annotations:\n    a: \"true\"\n    fluxcd.io/tag.app: glob:*", ""},
		"no annotations, labels of four": {"metadata:\n    labels:\n         x: y\n    name: p # c\n    # behind", ab,
			"metadata:\n    labels:\n         x: y\n    name: p # c\n    annotations:\n         a: \"true\"\n         fluxcd.io/tag.app: glob:*\n    # behind", ""},
		"labels last": {"metadata:\n  name: p\n  labels:\n    x: y", ab,
			"metadata:\n  name: p\n  labels:\n    x: y\n  annotations:\n    a: \"true\"\n    fluxcd.io/tag.app: glob:*", ""},
		"single quotes": {"metadata:\n  name: p\n  annotations:\n    z: 'x'", ab,
			"metadata:\n  name: p\n  annotations:\n    z: 'x'\n    a: 'true'\n    fluxcd.io/tag.app: 'glob:*'", ""},
		"quotes where needed": {"metadata:\n  annotations:\n    z: '1'\n  name: p", ab,
			"metadata:\n  annotations:\n    z: '1'\n    a: 'true'\n    fluxcd.io/tag.app: glob:*\n  name: p", ""},
		"comments": {"metadata:\n  annotations: # of mine\n    # about z\n    z: x # end\n    # behind\n\n  name: p", map[string]string{"a": "b"},
			"metadata:\n  annotations: # of mine\n    # about z\n    z: x # end\n    a: b\n    # behind\n\n  name: p", ""},
		"multi-line value before": {"metadata:\n  annotations:\n    z: one\n      two\n\n      three\n  name: p", map[string]string{"a": "b"},
			"metadata:\n  annotations:\n    z: one\n      two\n\n      three\n    a: b\n  name: p", ""},
		"empty":          {"metadata:\n  annotations: {}\n  name: p", ab, "metadata:\n  annotations: {a: \"true\", fluxcd.io/tag.app: glob:*}\n  name: p", "metadata:\n  name: p"},
		"null":           {"metadata:\n  annotations: null # none\n  name: p", ab, "metadata:\n  annotations: {a: \"true\", fluxcd.io/tag.app: glob:*} # none\n  name: p", "metadata:\n  name: p"},
		"nothing":        {"metadata:\n  annotations: # none\n  name: p", map[string]string{"a": "b"}, "metadata:\n  annotations: # none\n    a: b\n  name: p", "metadata:\n  name: p"},
		"nothing, last":  {"metadata:\n  name: p\n  annotations:", map[string]string{"a": "b"}, "metadata:\n  name: p\n  annotations:\n    a: b", "metadata:\n  name: p"},
		"flow":           {"metadata:\n  annotations: {z: 'x'}\n  name: p", map[string]string{"a": "1,2"}, "metadata:\n  annotations: {z: 'x', a: '1,2'}\n  name: p", ""},
		"flow metadata":  {"metadata: {name: p, namespace: default}", ab, "metadata: {name: p, namespace: default, annotations: {a: \"true\", fluxcd.io/tag.app: glob:*}}", ""},
		"flow in flow":   {"metadata: {annotations: {z: x}, name: p}", map[string]string{"a": "b"}, "metadata: {annotations: {z: x, a: b}, name: p}", ""},
		"trailing comma": {"metadata: {annotations: {z: x,}, name: p,}", map[string]string{"a": "b"}, "metadata: {annotations: {z: x, a: b,}, name: p,}", ""},
		"flow of lines": {"metadata: {\n  name: p,\n  namespace: default\n}", map[string]string{"a": "b"},
			"metadata: {\n  name: p,\n  namespace: default,\n  annotations: {\n    a: b\n  }\n}", ""},
		"multi-line text":      {"metadata:\n  name: p\n  annotations:\n    z: x", map[string]string{"a": "one\ntwo: \"x\"\t\u0001"}, "metadata:\n  name: p\n  annotations:\n    z: x\n    a: \"one\\ntwo: \\\"x\\\"\\t\\u0001\"", ""},
		"nothing as value":     {"metadata:\n  name: p\n  annotations:\n    z: x", map[string]string{"a": ""}, "metadata:\n  name: p\n  annotations:\n    z: x\n    a: \"\"", ""},
		"beside a merged one":  {"metadata:\n  name: p\n  labels: &l {b: z}\n  annotations:\n    <<: *l", map[string]string{"a": "b"}, "metadata:\n  name: p\n  labels: &l {b: z}\n  annotations:\n    <<: *l\n    a: b", ""},
		"explicit indentation": {"metadata:\n  annotations:\n    z: |2\n       x\n  name: p", map[string]string{"a": "b"}, "metadata:\n  annotations:\n    z: |2\n       x\n    a: b\n  name: p", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, eol := range []string{"\n", "\r\n"} {
				lines := func(m string) string { return strings.ReplaceAll(annotated(m), "\n", eol) }
				got, err := apply(lines(tt.in), edit.Edit{Workload: "pod/p", Set: tt.set})
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(lines(tt.want), got); diff != "" {
					t.Error(diff)
				}
				back, err := apply(got, edit.Edit{Workload: "pod/p", Remove: slices.Collect(maps.Keys(tt.set))})
				want := tt.in
				if tt.lost != "" {
					want = tt.lost
				}
				if diff := cmp.Diff(lines(want), back); err != nil || diff != "" {
					t.Errorf("taken away: %v\n%s", err, diff)
				}
			}
		})
	}
}

// TestAnnotateChanges changes and removes what is there.
func TestAnnotateChanges(t *testing.T) {
	tests := map[string]struct {
		in     string
		set    map[string]string
		remove []string
		want   string
	}{
		"change":                {"metadata:\n  name: p\n  annotations:\n    a: 'x' # c\n    b: y", map[string]string{"a": "y"}, nil, "metadata:\n  name: p\n  annotations:\n    a: 'y' # c\n    b: y"},
		"there already":         {"metadata:\n  name: p\n  annotations:\n    a: 'x' # c", map[string]string{"a": "x"}, []string{"b"}, "metadata:\n  name: p\n  annotations:\n    a: 'x' # c"},
		"no string":             {"metadata:\n  name: p\n  annotations:\n    a: true", map[string]string{"a": "true"}, nil, "metadata:\n  name: p\n  annotations:\n    a: \"true\""},
		"no value":              {"metadata:\n  name: p\n  annotations:\n    a:\n    b: x", map[string]string{"a": "true"}, nil, "metadata:\n  name: p\n  annotations:\n    a: \"true\"\n    b: x"},
		"literal":               {"metadata:\n  name: p\n  annotations:\n    a: |\n      one\n      two\n    b: x", map[string]string{"a": "1\n\n3\n"}, nil, "metadata:\n  name: p\n  annotations:\n    a: |\n      1\n\n      3\n    b: x"},
		"over a merged one":     {"metadata:\n  name: p\n  labels: &l {a: z}\n  annotations:\n    <<: *l", map[string]string{"a": "b"}, nil, "metadata:\n  name: p\n  labels: &l {a: z}\n  annotations:\n    <<: *l\n    a: b"},
		"set and remove":        {"metadata:\n  name: p\n  annotations:\n    a: x\n    b: y", map[string]string{"c": "z", "a": "w"}, []string{"b"}, "metadata:\n  name: p\n  annotations:\n    a: w\n    c: z"},
		"set one, remove all":   {"metadata:\n  name: p\n  annotations:\n    a: x\n    b: y", map[string]string{"c": "z"}, []string{"a", "b"}, "metadata:\n  name: p\n  annotations:\n    c: z"},
		"the first":             {"metadata:\n  name: p\n  annotations:\n    # mine\n    a: x\n    b: y", nil, []string{"a"}, "metadata:\n  name: p\n  annotations:\n    # mine\n    b: y"},
		"all":                   {"metadata:\n  annotations:\n    a: x\n    # c\n    b: y\n  name: p", nil, []string{"a", "b"}, "metadata:\n  name: p"},
		"flow, in the middle":   {"metadata: {annotations: {a: x, b: y, c: z, d: w}, name: p}", nil, []string{"b", "c"}, "metadata: {annotations: {a: x, d: w}, name: p}"},
		"flow, the first ones":  {"metadata: {annotations: {a: x, b: y, c: z}, name: p}", nil, []string{"b", "a"}, "metadata: {annotations: {c: z}, name: p}"},
		"flow, all":             {"metadata: {annotations: {a: x, b: y}, name: p}", nil, []string{"b", "a"}, "metadata: {name: p}"},
		"flow in block, all":    {"metadata:\n  annotations: {a: x} # c\n  name: p", nil, []string{"a"}, "metadata:\n  name: p"},
		"a value of many lines": {"metadata:\n  name: p\n  annotations:\n    a: |\n      one\n\n      two\n\n    b: x", nil, []string{"a"}, "metadata:\n  name: p\n  annotations:\n\n    b: x"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := apply(annotated(tt.in), edit.Edit{Workload: "pod/p", Set: tt.set, Remove: tt.remove})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(annotated(tt.want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestAnnotateJSON inserts as the file is written: on lines of their own, or on
// one line.
func TestAnnotateJSON(t *testing.T) {
	set := map[string]string{"a": "<b>"}
	tests := map[string]struct{ in, want string }{
		"one line":           {`{"kind":"Pod","metadata":{"name":"p"}}`, `{"kind":"Pod","metadata":{"name":"p","annotations":{"a":"<b>"}}}`},
		"one line, spaces":   {`{"kind": "Pod", "metadata": {"name": "p"}}`, `{"kind": "Pod", "metadata": {"name": "p", "annotations": {"a": "<b>"}}}`},
		"lines":              {"{\n\t\"kind\": \"Pod\",\n\t\"metadata\": {\n\t\t\"name\": \"p\"\n\t}\n}\n", "{\n\t\"kind\": \"Pod\",\n\t\"metadata\": {\n\t\t\"name\": \"p\",\n\t\t\"annotations\": {\n\t\t\t\"a\": \"<b>\"\n\t\t}\n\t}\n}\n"},
		"lines, one more":    {"{\"kind\": \"Pod\", \"metadata\": {\"name\": \"p\", \"annotations\": {\n  \"z\": \"x\"\n}}}", "{\"kind\": \"Pod\", \"metadata\": {\"name\": \"p\", \"annotations\": {\n  \"z\": \"x\",\n  \"a\": \"<b>\"\n}}}"},
		"not the only child": {`{"metadata":{"annotations":{"z":"x"},"name":"p"},"kind":"Pod"}`, `{"metadata":{"annotations":{"z":"x","a":"<b>"},"name":"p"},"kind":"Pod"}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := apply(tt.in, edit.Edit{Workload: "pod/p", Set: set})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			back, err := apply(got, edit.Edit{Workload: "pod/p", Remove: []string{"a"}})
			if diff := cmp.Diff(tt.in, back); err != nil || diff != "" {
				t.Errorf("taken away: %v\n%s", err, diff)
			}
		})
	}
}

// TestOrder: edits of one workload are made in their order, whatever depends on
// what.
func TestOrder(t *testing.T) {
	in := annotated("metadata:\n  name: p")
	set := func(k, v string) edit.Edit { return edit.Edit{Workload: "pod/p", Set: map[string]string{k: v}} }
	remove := func(k string) edit.Edit { return edit.Edit{Workload: "pod/p", Remove: []string{k}} }
	image := func(i string) edit.Edit { return edit.Edit{Workload: "pod/p", Container: "app", Image: i} }
	got, errs := edit.Apply([]byte(in), edit.Options{}, []edit.Edit{set("a", "1x"), image("a:1"), set("b", "x"), remove("a"), image("a:2"), set("a", "2x"),
		{Workload: "pod/p", Set: map[string]string{"c": "x"}, Remove: []string{"b"}}, set("b", "3x")})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(annotated("metadata:\n  name: p\n  annotations:\n    a: 2x\n    c: x\n    b: 3x"), "image: a", "image: a:2", 1)
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}
