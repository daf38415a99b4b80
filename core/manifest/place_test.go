package manifest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/manifest"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

func TestFieldsHavePlaces(t *testing.T) {
	const text = `# about
kind: A
metadata: {name: a}
---
apiVersion: v1
kind: List
items:
- kind: B
  metadata: {name: b}
  spec:
    list:
    - name: one
    - name: two
- metadata: &m {name: c}
  spec: {<<: *m, deep: {er: 1}}
---
{"kind": "D"}
---
{"kind": "E"} {"kind": "F"}
`
	tests := map[string]struct {
		line int
		path diag.Path
		want diag.Pos // zero: no such object
	}{
		"object":              {2, nil, diag.Pos{Line: 2, Column: 1}},
		"field":               {2, diag.Attr("metadata", "name"), diag.Pos{Line: 3, Column: 12}},
		"not there":           {2, diag.Attr("metadata", "namespace"), diag.Pos{Line: 3, Column: 1}},
		"not there at all":    {2, diag.Attr("spec", "chart"), diag.Pos{Line: 2, Column: 1}},
		"element of a list":   {8, diag.Attr("spec", "list", 1), diag.Pos{Line: 13, Column: 7}},
		"field of an element": {8, diag.Attr("spec", "list", 1, "name"), diag.Pos{Line: 13, Column: 7}},
		"merged":              {14, diag.Attr("spec", "name"), diag.Pos{Line: 14, Column: 17}},
		"JSON":                {17, diag.Attr("kind"), diag.Pos{Line: 17, Column: 2}},
		"the list itself":     {5, nil, diag.Pos{}},
		"between":             {9, nil, diag.Pos{}},
		"behind the end":      {90, nil, diag.Pos{}},
		"two in a line":       {19, nil, diag.Pos{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, found := manifest.FieldsAt([]byte(text), tt.line)
			got, placed := f.Place(tt.path)
			if diff := cmp.Diff(tt.want, got); diff != "" || found != placed || found != (tt.want != diag.Pos{}) {
				t.Errorf("%v %v %s", found, placed, diff)
			}
		})
	}
}
