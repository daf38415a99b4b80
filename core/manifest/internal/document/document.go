// Package document reads the text of manifests: it cuts a file into documents,
// makes YAML nodes of YAML and JSON text, with their places, and says which
// values the nodes have for kubectl. It knows no Kubernetes objects.
//
// It trusts nothing that it reads: sizes, nesting and the expansion of aliases
// are bounded.
package document

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxValues bounds the values of one document. The parser takes up to 250 bytes
// for each, whatever its length.
const maxValues = 1 << 20

// tooManyValues reports whether text may hold more than maxValues values: each
// of them is begun by one of a few characters, which text may hold as well.
func tooManyValues(text []byte) bool {
	if len(text) <= maxValues {
		return false
	}
	n := 0
	for _, c := range []string{",", "[", "{", "\n", "- "} {
		n += bytes.Count(text, []byte(c))
	}
	return n > maxValues
}

// Parsed is what the text of a chunk holds.
type Parsed struct {
	Roots []*yaml.Node // one for each value that is not nothing at all
	// JSON says that the text was read as JSON, whose lines end by \n alone,
	// and not as YAML in flow style.
	JSON bool
}

// Error says that a chunk cannot be read.
type Error struct {
	Line int    // of the chunk, from 1
	Hint string // what to do, may be empty
	text string
}

func (e *Error) Error() string { return e.text }

// Parse reads the one document of a chunk, or the several values of a JSON
// stream. After an error, which is an *Error, it returns what comes before.
func Parse(text []byte) (Parsed, error) {
	if tooManyValues(text) {
		return Parsed{}, &Error{Line: 1, Hint: "Split it into several documents.",
			text: fmt.Sprintf("the document holds more than %d values", maxValues)}
	}
	p, err := parse(text)
	if err != nil {
		return p, syntaxError(text, err)
	}
	return p, nil
}

// parse reads text as JSON if it is that, else as YAML.
func parse(text []byte) (Parsed, error) {
	j, isJSON := jsonText(text)
	if !isJSON {
		roots, err := readYAML(text)
		return Parsed{Roots: roots}, err
	}
	roots, jsonErr := readJSON(j)
	if jsonErr == nil {
		return Parsed{Roots: roots, JSON: true}, nil
	}
	if roots, err := readYAML(text); err == nil { // in flow style
		return Parsed{Roots: roots}, nil
	}
	return Parsed{}, jsonErr
}

// syntaxError tells where text is neither YAML nor JSON.
func syntaxError(text []byte, err error) *Error {
	if message, ok := strings.CutPrefix(err.Error(), "yaml: "); ok {
		line, message := yamlError(text, message)
		return &Error{Line: line, text: "syntax error: " + message}
	}
	return &Error{Line: jsonErrorLine(text, err), text: "syntax error: " + err.Error()}
}

// jsonText returns text without a document marker, in its place, if what
// follows looks like JSON.
func jsonText(text []byte) ([]byte, bool) {
	rest, marked := bytes.CutPrefix(text, []byte("---"))
	if !bytes.HasPrefix(bytes.TrimSpace(rest), []byte("{")) {
		return nil, false
	}
	if marked {
		text = append([]byte("   "), rest...)
	}
	return text, true
}

func readYAML(text []byte) (documents []*yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil { // a parser's bug is one file's problem
			err = fmt.Errorf("cannot be parsed: %v", r)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var n yaml.Node
		err := dec.Decode(&n)
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return documents, err
		}
		if n.Kind == yaml.DocumentNode && len(n.Content) == 1 {
			documents = append(documents, n.Content[0])
		}
	}
}
