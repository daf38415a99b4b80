package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// jsonReader makes YAML nodes of JSON text, so that JSON gets the same checks
// and places as YAML. YAML parsers accept most JSON, but neither each escape
// nor each use of tabs.
type jsonReader struct {
	text []byte
	dec  *json.Decoder
	at   int // offset of what line and column are about
	line int
	col  int
}

// readJSON returns the values of text, which follow each other, as kubectl
// reads them.
func readJSON(text []byte) (values []*yaml.Node, err error) {
	r := &jsonReader{text: text, dec: json.NewDecoder(bytes.NewReader(text)), line: 1, col: 1}
	r.dec.UseNumber()
	for {
		n, err := r.value(0)
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil {
			return nil, err
		}
		values = append(values, n)
	}
}

// value reads the next value.
func (r *jsonReader) value(depth int) (*yaml.Node, error) {
	if depth > maxDepth {
		return nil, errTooDeep
	}
	line, column := r.next()
	token, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	n := &yaml.Node{Line: line, Column: column}
	switch token := token.(type) {
	case json.Delim:
		return n, r.composite(n, token, depth)
	case string:
		n.Kind, n.Tag, n.Value, n.Style = yaml.ScalarNode, "!!str", token, yaml.DoubleQuotedStyle
	case json.Number:
		n.Kind, n.Tag, n.Value, n.Style = yaml.ScalarNode, jsonNumberTag, string(token), yaml.TaggedStyle
	case bool:
		n.Kind, n.Tag, n.Value = yaml.ScalarNode, "!!bool", fmt.Sprint(token)
	case nil:
		n.Kind, n.Tag, n.Value = yaml.ScalarNode, "!!null", "null"
	}
	return n, nil
}

// composite reads the rest of an object or array.
func (r *jsonReader) composite(n *yaml.Node, open json.Delim, depth int) error {
	n.Kind = yaml.MappingNode
	if open == '[' {
		n.Kind = yaml.SequenceNode
	}
	for r.dec.More() {
		elements := 1
		if n.Kind == yaml.MappingNode {
			elements = 2 // key and value
		}
		for range elements {
			e, err := r.value(depth + 1)
			if errors.Is(err, io.EOF) {
				return io.ErrUnexpectedEOF
			}
			if err != nil {
				return err
			}
			n.Content = append(n.Content, e)
		}
	}
	_, err := r.dec.Token() // the closing bracket
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// next returns the place of the next token.
func (r *jsonReader) next() (line, column int) {
	offset := int(r.dec.InputOffset())
	for offset < len(r.text) && bytes.IndexByte([]byte(" \t\r\n,:"), r.text[offset]) >= 0 {
		offset++
	}
	for ; r.at < offset; r.at++ {
		switch c := r.text[r.at]; {
		case c == '\n':
			r.line, r.col = r.line+1, 1
		case utf8.RuneStart(c):
			r.col++
		}
	}
	return r.line, r.col
}

// jsonErrorLine returns the line of text that err is about, from 1.
func jsonErrorLine(text []byte, err error) int {
	offset := int64(len(text))
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = min(syntax.Offset, offset)
	}
	return 1 + bytes.Count(text[:offset], []byte("\n"))
}
