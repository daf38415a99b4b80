package manifest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-gitops/sluice/core/manifest/internal/document"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// maxProblems bounds the problems of one file: a file that is no manifest at
// all should not bury the others.
const maxProblems = 20

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
	text, line, err := document.Text(data)
	if err != nil {
		p.line = 1
		p.problem(line, 0, "the file is not text", "Manifests are UTF-8, or UTF-16 with a byte order mark. "+sentence(err))
		return p.content
	}
	for c := range document.Split(text) {
		if c.Empty() {
			continue
		}
		p.text, p.line = c.Text, c.Line
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
	documents, err := document.Parse(p.text)
	for _, d := range documents.Roots {
		p.document(d)
	}
	if err != nil {
		p.syntaxError(err)
	}
}

// syntaxError reports that the chunk cannot be read.
func (p *parser) syntaxError(err error) {
	e, ok := errors.AsType[*document.Error](err)
	if !ok { // Parse returns no others
		p.problem(1, 0, err.Error(), "")
		return
	}
	hint := cmp.Or(e.Hint, p.templateHint())
	if hint == "" && strings.HasPrefix(strings.TrimLeft(document.LineOf(p.text, e.Line), " "), "\t") {
		hint = "YAML is indented by spaces, never by tabs."
	}
	p.problem(e.Line, 0, e.Error(), hint)
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
	n = document.Resolve(n)
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
	if items := document.ListItems(n); items != nil {
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
