package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// maxProblems bounds the problems of one file: a file that is no manifest at
// all should not bury the others.
const maxProblems = 20

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

// content is what a file holds, whatever its name. It is immutable once made.
type content struct {
	objects  []Object  // without their File
	problems diag.List // with Subjects that lack the File
	skip     string    // why the file as a whole is no manifest, or empty
}

// size returns about how many bytes c takes in a cache.
func (c *content) size() int64 {
	size := int64(256)
	for _, o := range c.objects {
		size += o.size()
	}
	for _, d := range c.problems {
		size += int64(256 + len(d.Summary) + len(d.Detail))
	}
	return size
}

// parser collects the content of one file.
type parser struct {
	text          []byte // of the chunk
	line          int    // of the chunk's first line in the file
	kustomization bool   // the file's name says that it is one
	content       *content
	suppressed    int
}

// parse reads the documents of a file.
func parse(data []byte, kustomization bool) *content {
	p := &parser{kustomization: kustomization, content: &content{}}
	text, line, err := toUTF8(data)
	if err != nil {
		p.line = 1
		p.problem(line, 0, "the file is not text", "Manifests are UTF-8, or UTF-16 with a byte order mark. "+sentence(err))
		return p.content
	}
	for c := range split(text) {
		if isEmpty(c.text) {
			continue
		}
		p.text, p.line = c.text, c.line
		p.chunk()
	}
	if p.suppressed > 0 {
		p.line = 1
		p.content.problems = append(p.content.problems, diag.Diagnostic{
			Summary: fmt.Sprintf("%d further problems in this file", p.suppressed),
			Subject: &diag.Range{Start: diag.Pos{Line: 1}, End: diag.Pos{Line: 1}},
		})
	}
	return p.content
}

// problem adds an error at a line and column of the chunk, both from 1; a
// column of 0 is not known.
func (p *parser) problem(line, column int, summary, detail string) {
	p.add(diag.Error, line, column, summary, detail)
}

func (p *parser) add(severity diag.Severity, line, column int, summary, detail string) {
	if len(p.content.problems) >= maxProblems {
		p.suppressed++
		return
	}
	at := diag.Pos{Line: max(line, 1) + p.line - 1, Column: column}
	p.content.problems = append(p.content.problems, diag.Diagnostic{
		Severity: severity, Summary: summary, Detail: detail, Subject: &diag.Range{Start: at, End: at},
	})
}

// at adds an error about a node.
func (p *parser) at(n *yaml.Node, summary, detail string) {
	p.problem(n.Line, n.Column, summary, detail)
}

// chunk reads the one document of a chunk, or the several values of a JSON
// stream.
func (p *parser) chunk() {
	if tooManyValues(p.text) {
		p.problem(1, 0, fmt.Sprintf("the document holds more than %d values", maxValues), "Split it into several documents.")
		return
	}
	documents, err := p.nodes()
	for _, d := range documents {
		p.document(d)
	}
	if err != nil {
		p.syntaxError(err)
	}
}

// nodes parses the chunk: as JSON if it is that, else as YAML. After an error
// it returns what comes before.
func (p *parser) nodes() ([]*yaml.Node, error) {
	text, isJSON := jsonText(p.text)
	if !isJSON {
		return readYAML(p.text)
	}
	values, jsonErr := readJSON(text)
	if jsonErr == nil {
		return values, nil
	}
	if values, err := readYAML(p.text); err == nil { // in flow style
		return values, nil
	}
	return nil, jsonErr
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

// syntaxError reports that the chunk is neither YAML nor JSON.
func (p *parser) syntaxError(err error) {
	text := err.Error()
	line := 0
	if strings.HasPrefix(text, "yaml: ") {
		line, text = yamlError(p.text, strings.TrimPrefix(text, "yaml: "))
	} else {
		line = jsonErrorLine(p.text, err)
	}
	hint := p.templateHint()
	if hint == "" && strings.HasPrefix(strings.TrimLeft(lineOf(p.text, line), " "), "\t") {
		hint = "YAML is indented by spaces, never by tabs."
	}
	p.problem(line, 0, "syntax error: "+text, hint)
}

// templateHint tells about templates if the chunk looks like one.
func (p *parser) templateHint() string {
	if !bytes.Contains(p.text, []byte("{{")) {
		return ""
	}
	return "The document holds {{ }} of a template. Templates of a Helm chart are rendered by a release; " +
		"name other files that are not for the cluster in .sluiceignore."
}

// document takes the objects of one document.
func (p *parser) document(n *yaml.Node) {
	n = resolve(n)
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return
	}
	if p.kustomization || isKustomization(n) {
		p.content.skip = "it is a kustomization"
		p.warnKustomization(n)
		return
	}
	if n.Kind != yaml.MappingNode {
		p.at(n, "the document is not an object", notForCluster)
		return
	}
	if items := listItems(n); items != nil {
		p.list(n, items)
		return
	}
	p.object(n, "", "")
}

// notForCluster tells what to do about a file that is no manifest.
const notForCluster = "An object is a mapping with apiVersion, kind and metadata. " +
	"Name files that are not for the cluster in .sluiceignore."

// sentence makes an error text a sentence.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// lineMark stands in a hint for a line of the chunk, until the line of the
// file is known.
func lineMark(line int) string { return fmt.Sprintf("\x00%d\x00", line) }

var lineMarkForm = regexp.MustCompile("\x00(\\d+)\x00")

// fileLines replaces the marks of lines of the chunk by those of the file.
func (p *parser) fileLines(text string) string {
	return lineMarkForm.ReplaceAllStringFunc(text, func(mark string) string {
		line, _ := strconv.Atoi(strings.Trim(mark, "\x00")) // digits
		return strconv.Itoa(line + p.line - 1)
	})
}
