package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Markdown documents the schema as tables, one for the block itself and one
// for each block in it.
func (s *Schema) Markdown() string {
	var b strings.Builder
	s.markdown(&b, "")
	return b.String()
}

func (s *Schema) markdown(b *strings.Builder, path string) {
	if len(s.Attributes) > 0 {
		b.WriteString("| Argument | Type | Default | Description |\n| --- | --- | --- | --- |\n")
		for _, a := range s.Attributes {
			fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", a.Name, a.typeWords(), a.defaultWords(), cell(a.docWords()))
		}
	}
	for _, block := range s.Blocks {
		at := path + block.Name
		fmt.Fprintf(b, "\n**`%s`** block (%s)", at, block.countWords())
		if block.Doc != "" {
			b.WriteString(": " + strings.TrimSpace(block.Doc))
		}
		b.WriteString("\n\n")
		block.Body.markdown(b, at+".")
	}
}

func (a Attribute) typeWords() string {
	if a.Format != FormatNone {
		return string(a.Format)
	}
	return a.Type.String()
}

func (a Attribute) defaultWords() string {
	switch {
	case a.Required:
		return "required"
	case a.Default == nil:
		return ""
	}
	return "`" + cell(string(a.Default)) + "`"
}

func (a Attribute) docWords() string {
	words := []string{a.Doc}
	if len(a.Enum) > 0 {
		words = append(words, "One of `"+strings.Join(a.Enum, "`, `")+"`.")
	}
	if a.Sensitive {
		words = append(words, "Sensitive.")
	}
	if a.Deprecated != "" {
		words = append(words, "Deprecated: "+a.Deprecated)
	}
	return strings.TrimSpace(strings.Join(words, " "))
}

func (b Block) countWords() string {
	switch {
	case b.Nesting == Map:
		return "any number, with a label"
	case b.Nesting == List:
		return "any number"
	case b.Min > 0:
		return "required"
	}
	return "optional"
}

// String returns the type as a user would say it: list(string).
func (t Type) String() string {
	switch t.Kind {
	case ListOf, MapOf:
		if t.Elem == nil {
			return string(t.Kind)
		}
		return fmt.Sprintf("%s(%s)", t.Kind, t.Elem)
	case Object:
		fields := make([]string, len(t.Fields))
		for i, f := range t.Fields {
			optional := ""
			if f.Optional {
				optional = "?"
			}
			fields[i] = f.Name + optional + " = " + f.Type.String()
		}
		return "object({" + strings.Join(fields, ", ") + "})"
	}
	return string(t.Kind)
}

// cell makes text fit into a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
}

// Equal reports whether two schemas are the same to a user and on the wire.
func (s *Schema) Equal(other *Schema) bool {
	a, errA := json.Marshal(s)
	b, errB := json.Marshal(other)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}
