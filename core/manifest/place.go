package manifest

import (
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-gitops/sluice/core/manifest/internal/document"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Fields tells where the fields of one object stand in its file. The zero value
// knows of none.
type Fields struct {
	object *yaml.Node
	above  int // lines of the file before the object's document
}

// FieldsAt finds the object that Load has found at a line of a file, whose text
// is data. ok is false if no object begins there, or more than one.
func FieldsAt(data []byte, line int) (f Fields, ok bool) {
	text, _, err := document.Text(data)
	if err != nil {
		return Fields{}, false
	}
	var chunk document.Chunk
	for c := range document.Split(text) {
		if c.Line <= line {
			chunk = c
		}
	}
	parsed, _ := document.Parse(chunk.Text) // what comes before an error counts
	var found []*yaml.Node
	for _, root := range parsed.Roots {
		objects := []*yaml.Node{document.Resolve(root)}
		if items := document.ListItems(root); items != nil {
			objects = slices.Clone(items.Content)
		}
		for _, n := range objects {
			if n = document.Resolve(n); lineOf(n)+chunk.Line-1 == line {
				found = append(found, n)
			}
		}
	}
	if len(found) != 1 {
		return Fields{}, false
	}
	return Fields{found[0], chunk.Line - 1}, true
}

// Place is where the field at path stands, or as much of the path as the file
// has: the name of a field, or the element of a list.
func (f Fields) Place(path diag.Path) (at diag.Pos, ok bool) {
	if f.object == nil {
		return diag.Pos{}, false
	}
	at = diag.Pos{Line: lineOf(f.object) + f.above, Column: f.object.Column}
	n := f.object
	for _, step := range path {
		key, value := document.Child(n, step)
		if value == nil {
			break
		}
		at = diag.Pos{Line: key.Line + f.above, Column: key.Column}
		n = value
	}
	return at, true
}

// lineOf is the line of an object's first key.
func lineOf(n *yaml.Node) int {
	if len(n.Content) > 0 {
		return n.Content[0].Line
	}
	return n.Line
}
