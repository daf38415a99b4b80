package schema_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sluice-gitops/sluice/sdk/schema"
)

func TestCheckAcceptsWhatOfMakes(t *testing.T) {
	s, err := schema.Of[config]()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	text := schema.Type{Kind: schema.String}
	attribute := func(a schema.Attribute) *schema.Schema { return &schema.Schema{Attributes: []schema.Attribute{a}} }
	block := func(b schema.Block) *schema.Schema { return &schema.Schema{Blocks: []schema.Block{b}} }
	tests := map[string]*schema.Schema{
		"there is no schema":              nil,
		`"Bad Name" is not a name`:        attribute(schema.Attribute{Name: "Bad Name", Type: text}),
		"a is declared twice":             {Attributes: []schema.Attribute{{Name: "a", Type: text}}, Blocks: []schema.Block{{Name: "a", Nesting: schema.List}}},
		"a: is required and has":          attribute(schema.Attribute{Name: "a", Type: text, Required: true, Default: json.RawMessage(`"x"`)}),
		"a: is sensitive and has":         attribute(schema.Attribute{Name: "a", Type: text, Sensitive: true, Default: json.RawMessage(`"x"`)}),
		"a: has an enum, but":             attribute(schema.Attribute{Name: "a", Type: schema.Type{Kind: schema.Bool}, Enum: []string{"x"}}),
		"a: has the format url, but":      attribute(schema.Attribute{Name: "a", Type: schema.Type{Kind: schema.Number}, Format: schema.FormatURL}),
		"a: the default is not JSON":      attribute(schema.Attribute{Name: "a", Type: text, Default: json.RawMessage(`x`)}),
		`a: default "5": time: missing`:   attribute(schema.Attribute{Name: "a", Type: text, Format: schema.FormatDuration, Default: json.RawMessage(`"5"`)}),
		`a: default "z": is not one of`:   attribute(schema.Attribute{Name: "a", Type: text, Enum: []string{"x"}, Default: json.RawMessage(`"z"`)}),
		"b: has 0 labels, needs one":      block(schema.Block{Name: "b", Nesting: schema.Map}),
		"b: has labels, but is no map":    block(schema.Block{Name: "b", Nesting: schema.List, Labels: []string{"l"}}),
		"b: must stand 3 times and may":   block(schema.Block{Name: "b", Nesting: schema.List, Min: 3, Max: 2}),
		"b: is single, but may":           block(schema.Block{Name: "b", Nesting: schema.Single, Max: 2}),
		`b."C" is not a name`:             block(schema.Block{Name: "b", Nesting: schema.List, Body: *attribute(schema.Attribute{Name: "C", Type: text})}),
		"b.b.b.b.b.b.b.b.b.b.b.b.b.b.b.b": nested(20),
	}
	for want, s := range tests {
		if err := s.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func nested(depth int) *schema.Schema {
	if depth == 0 {
		return &schema.Schema{}
	}
	return &schema.Schema{Blocks: []schema.Block{{Name: "b", Nesting: schema.List, Body: *nested(depth - 1)}}}
}
