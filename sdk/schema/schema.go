// Package schema describes the configuration of a plugin: what a user may
// write in the plugin's block. Authors never build a Schema by hand; Of infers
// it from the struct that their open function takes. The host decodes the
// user's HCL against it, so that each mistake is reported at its place, and
// sends the values as JSON, which Decode turns back into the struct.
package schema

import "encoding/json"

// Schema is the content of one block.
type Schema struct {
	Attributes []Attribute `json:"attributes,omitempty"`
	Blocks     []Block     `json:"blocks,omitempty"`
}

// Attribute is one `name = value`.
type Attribute struct {
	Name       string          `json:"name"`
	Type       Type            `json:"type"`
	Required   bool            `json:"required,omitempty"`
	Default    json.RawMessage `json:"default,omitempty"` // in the JSON form of Type; absent: no default
	Doc        string          `json:"doc,omitempty"`
	Sensitive  bool            `json:"sensitive,omitempty"`  // never printed
	Deprecated string          `json:"deprecated,omitempty"` // what to use instead
	Enum       []string        `json:"enum,omitempty"`       // allowed values of a string
	Format     Format          `json:"format,omitempty"`
}

// Block is one `name "label" { ... }`.
type Block struct {
	Name    string   `json:"name"`
	Labels  []string `json:"labels,omitempty"` // names of the labels, in order; only with Nesting Map
	Nesting Nesting  `json:"nesting"`
	Min     int      `json:"min,omitempty"`
	Max     int      `json:"max,omitempty"` // 0: no limit
	Doc     string   `json:"doc,omitempty"`
	Body    Schema   `json:"body"`
}

// Nesting tells how often a block may stand and what it decodes to.
type Nesting string

const (
	Single Nesting = "single" // at most one: an object or null
	List   Nesting = "list"   // any number: an array of objects
	Map    Nesting = "map"    // any number with one label: an object of objects by label
)

// Format narrows a string attribute. The host checks it, with a caret.
type Format string

const (
	FormatNone     Format = ""
	FormatDuration Format = "duration" // Go syntax, "90s"; JSON form: the same string
	FormatBytes    Format = "bytes"    // "64MiB"; JSON form: a number of bytes
	FormatURL      Format = "url"
	FormatRegexp   Format = "regexp" // RE2
	FormatPath     Format = "path"   // made absolute, relative to the file that holds it
)

// Kind is the shape of a Type.
type Kind string

const (
	String Kind = "string"
	Number Kind = "number"
	Bool   Kind = "bool"
	Any    Kind = "any"    // anything JSON can hold
	ListOf Kind = "list"   // of Elem
	MapOf  Kind = "map"    // string to Elem
	Object Kind = "object" // Fields
)

// Type is the type of an attribute's value.
type Type struct {
	Kind   Kind    `json:"kind"`
	Elem   *Type   `json:"elem,omitempty"`
	Fields []Field `json:"fields,omitempty"`
}

// Field is one attribute of an Object type.
type Field struct {
	Name     string `json:"name"`
	Type     Type   `json:"type"`
	Optional bool   `json:"optional,omitempty"`
}
