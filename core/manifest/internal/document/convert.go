package document

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

const (
	// maxErrors bounds what is told about one value.
	maxErrors = 20
	// maxDepth bounds how deep values nest.
	maxDepth = 300
	// maxExpansion bounds what aliases add to a document, about in bytes. An
	// object above it is too large for an API server.
	maxExpansion = 8 << 20
	// jsonNumberTag marks a number of JSON text, which is never octal.
	jsonNumberTag = "!json"
)

var errTooDeep = fmt.Errorf("values nest more than %d levels deep", maxDepth)

// NodeError is what is wrong with a node of a document.
type NodeError struct {
	Node *yaml.Node
	Err  error
	Hint string // what to do, may be empty; see FileLines
}

func (e *NodeError) Error() string { return e.Err.Error() }

// converter makes plain values (map[string]any, []any, string, int64, float64,
// bool, nil) of YAML nodes.
type converter struct {
	errs     []*NodeError
	active   map[*yaml.Node]bool // aliases that are being expanded
	expanded int                 // by aliases, see maxExpansion
}

// Convert returns the value of n. With errors the value is of no use.
func Convert(n *yaml.Node) (any, []*NodeError) {
	c := &converter{active: map[*yaml.Node]bool{}}
	v := c.value(n, 0)
	return v, c.errs
}

func (c *converter) fail(n *yaml.Node, hint, format string, args ...any) {
	if len(c.errs) < maxErrors {
		c.errs = append(c.errs, &NodeError{n, fmt.Errorf(format, args...), hint})
	}
}

func (c *converter) value(n *yaml.Node, depth int) any {
	if depth > maxDepth {
		c.fail(n, "", "%w", errTooDeep)
		return nil
	}
	if len(c.active) > 0 {
		if c.expanded += len(n.Value) + 64; c.expanded > maxExpansion {
			return nil // see alias
		}
	}
	switch n.Kind {
	case yaml.MappingNode:
		return c.mapping(n, depth)
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, e := range n.Content {
			list = append(list, c.value(e, depth+1))
		}
		return list
	case yaml.AliasNode:
		return c.alias(n, depth)
	default:
		v, err := Scalar(n)
		if err != nil {
			c.fail(n, "", "%w", err)
		}
		return v
	}
}

// alias returns the value that n refers to.
func (c *converter) alias(n *yaml.Node, depth int) any {
	if c.active[n.Alias] {
		c.fail(n, "", "alias *%s refers to a value that contains it", n.Value)
		return nil
	}
	if c.expanded > maxExpansion {
		return nil
	}
	c.active[n.Alias] = true
	defer delete(c.active, n.Alias)
	v := c.value(n.Alias, depth+1)
	if c.expanded > maxExpansion && len(c.active) == 1 {
		c.fail(n, "", "the aliases of this document expand to more than %d MiB", maxExpansion>>20)
	}
	return v
}

// mapping returns the map of n. A key of the mapping itself wins over one that
// is merged in, an earlier merged one over a later.
func (c *converter) mapping(n *yaml.Node, depth int) any {
	m := make(map[string]any, len(n.Content)/2)
	lines := make(map[string]int, len(n.Content)/2)
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if IsMerge(k) {
			merges = append(merges, v)
			continue
		}
		key, err := c.key(k)
		if err != nil {
			c.fail(k, "", "%w", err)
			continue
		}
		if line, exists := lines[key]; exists {
			c.fail(k, fmt.Sprintf("It stands first in line %s; of two values only one can hold.", lineMark(line)),
				"key %q is there twice", key)
			continue
		}
		lines[key] = k.Line
		m[key] = c.value(v, depth+1)
	}
	for _, merge := range merges {
		c.merge(m, merge, depth)
	}
	return m
}

// merge adds the keys of n, a mapping or a list of mappings, that m lacks.
func (c *converter) merge(m map[string]any, n *yaml.Node, depth int) {
	sources := []*yaml.Node{n}
	if target := Resolve(n); target.Kind == yaml.SequenceNode {
		sources = target.Content
	}
	for _, source := range sources {
		from, ok := c.value(source, depth+1).(map[string]any)
		if !ok {
			c.fail(source, "", "<< takes a mapping or a list of mappings")
			continue
		}
		for k, v := range from {
			if _, exists := m[k]; !exists {
				m[k] = v
			}
		}
	}
}

// key returns the text of a mapping's key, as kubectl writes it into JSON.
func (c *converter) key(n *yaml.Node) (string, error) {
	target := Resolve(n)
	if target.Kind != yaml.ScalarNode {
		return "", errors.New("a key must be a string")
	}
	v, err := Scalar(target)
	if err != nil {
		return "", err
	}
	switch v := v.(type) {
	case string:
		return v, nil
	case nil:
		return "", errors.New("a key must not be null")
	}
	return fmt.Sprint(v), nil
}

// IsMerge reports whether the key n merges other mappings into its own.
func IsMerge(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Value == "<<" && n.Style&^yaml.TaggedStyle == 0 && n.ShortTag() == "!!merge"
}

// Resolve follows an alias.
func Resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// Scalar returns the value of a scalar node, by its tag if it has one, by its
// form if it is plain, else as text.
func Scalar(n *yaml.Node) (any, error) {
	quoted := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	if n.Style&yaml.TaggedStyle == 0 {
		if quoted {
			return n.Value, nil
		}
		return plain(n.Value)
	}
	switch tag := n.ShortTag(); tag {
	case jsonNumberTag:
		return Number(n.Value)
	case "!!binary":
		data, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(n.Value), ""))
		if err != nil || !utf8.Valid(data) {
			return nil, errors.New("!!binary takes base64 of UTF-8 text")
		}
		return string(data), nil
	case "!!int", "!!float", "!!bool", "!!null":
		v, err := plain(n.Value)
		wholeFloat := tag == "!!float" && tagOf(v) == "!!int"
		if err == nil && tagOf(v) != tag && !wholeFloat {
			err = fmt.Errorf("%q is no %s", n.Value, tag)
		}
		return v, err
	}
	return n.Value, nil
}

func tagOf(v any) string {
	switch v.(type) {
	case nil:
		return "!!null"
	case bool:
		return "!!bool"
	case int64:
		return "!!int"
	case float64:
		return "!!float"
	}
	return "!!str"
}

// words are the plain scalars with a meaning of their own in YAML 1.1, as
// kubectl and the charts of the world know it.
var words = map[string]any{
	"": nil, "~": nil, "null": nil, "Null": nil, "NULL": nil,
	"y": true, "Y": true, "yes": true, "Yes": true, "YES": true,
	"true": true, "True": true, "TRUE": true, "on": true, "On": true, "ON": true,
	"n": false, "N": false, "no": false, "No": false, "NO": false,
	"false": false, "False": false, "FALSE": false, "off": false, "Off": false, "OFF": false,
}

var floatForm = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)

// plain returns the value of an unquoted scalar.
func plain(text string) (any, error) {
	if v, ok := words[text]; ok {
		return v, nil
	}
	switch strings.ToLower(strings.TrimLeft(text, "+-")) {
	case ".nan", ".inf":
		return nil, fmt.Errorf("JSON, which Kubernetes speaks, has no number %s", text)
	}
	if !strings.ContainsRune("+-.0123456789", rune(text[0])) {
		return text, nil
	}
	digits := strings.ReplaceAll(text, "_", "")
	if i, err := strconv.ParseInt(digits, 0, 64); err == nil { // also 0755, 0o755, 0x1ed, 0b1
		return i, nil
	}
	if u, err := strconv.ParseUint(digits, 0, 64); err == nil {
		return float64(u), nil // as Kubernetes reads what int64 cannot hold
	}
	if floatForm.MatchString(digits) {
		if f, err := strconv.ParseFloat(digits, 64); err == nil {
			return integral(f), nil
		}
	}
	return text, nil
}

// Number returns the value of a JSON number.
func Number(text string) (any, error) {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return i, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, fmt.Errorf("number %s is out of range", text)
	}
	return integral(f), nil
}

// integral returns f as an int64 where that says the same, since JSON does not
// tell 1 from 1.0, else f.
func integral(f float64) any {
	if f >= -1<<53 && f <= 1<<53 && f == float64(int64(f)) {
		return int64(f)
	}
	return f
}
