package fluxfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Parse reads the content of a file. The error holds every mistake in it.
func Parse(file string, data []byte) (*File, error) {
	p := &parser{file: file}
	f := p.parse(data)
	if err := p.problems.Err(); err != nil {
		return nil, err
	}
	return f, nil
}

type parser struct {
	file     string
	problems diag.List
}

func (p *parser) fail(n *yaml.Node, format string, args ...any) {
	p.problems = append(p.problems, problem(p.file, n.Line, fmt.Sprintf(format, args...), ""))
}

func (p *parser) parse(data []byte) *File {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		p.fail(&yaml.Node{}, "it is not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		return nil
	}
	if len(doc.Content) == 0 {
		p.fail(&yaml.Node{Line: 1}, "it is empty; want version: 1 and one of commandUpdated, patchUpdated and scanForFiles")
		return nil
	}
	if err := dec.Decode(&more); err == nil {
		p.fail(&more, "a second document has no meaning here")
	}
	return p.root(doc.Content[0])
}

func (p *parser) root(n *yaml.Node) *File {
	f := &File{Path: p.file}
	var version, kind *yaml.Node
	p.fields(n, map[string]func(*yaml.Node){
		"version":        func(v *yaml.Node) { version = v },
		"commandUpdated": func(v *yaml.Node) { kind = p.only(kind, v); p.commandUpdated(f, v) },
		"patchUpdated":   func(v *yaml.Node) { kind = p.only(kind, v); p.patchUpdated(f, v) },
		"scanForFiles":   func(v *yaml.Node) { kind = p.only(kind, v); p.scan(f, v) },
		"files":          func(v *yaml.Node) { kind = p.only(kind, v); p.scan(f, v) }, // its name in older versions
	})
	if len(p.problems) > 0 {
		return f
	}
	switch {
	case version == nil:
		p.fail(n, "version is missing; want version: 1")
	case version.Kind != yaml.ScalarNode || version.Tag != "!!int" || version.Value != "1":
		p.fail(version, "version is %s; only 1 is known, without quotes", version.Value)
	case kind == nil:
		p.fail(n, "want one of commandUpdated, patchUpdated and scanForFiles")
	}
	return f
}

// only reports a second way to get manifests.
func (p *parser) only(before, now *yaml.Node) *yaml.Node {
	if before != nil {
		p.fail(now, "only one of commandUpdated, patchUpdated and scanForFiles may be there")
	}
	return now
}

func (p *parser) scan(f *File, n *yaml.Node) {
	f.Scan = true
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return
	}
	p.fields(n, nil)
}

func (p *parser) commandUpdated(f *File, n *yaml.Node) {
	p.fields(n, map[string]func(*yaml.Node){
		"generators": func(v *yaml.Node) { f.Generators = p.commands(v) },
		"updaters": func(v *yaml.Node) {
			p.each(v, func(e *yaml.Node) {
				var u Updater
				p.fields(e, map[string]func(*yaml.Node){
					"containerImage": func(c *yaml.Node) { u.Image = p.command(c) },
					"policy":         func(c *yaml.Node) { u.Policy = p.command(c) },
				})
				f.Updaters = append(f.Updaters, u)
			})
		},
	})
	p.wantGenerators(f, n, "commandUpdated")
}

func (p *parser) patchUpdated(f *File, n *yaml.Node) {
	var patch *yaml.Node
	p.fields(n, map[string]func(*yaml.Node){
		"generators": func(v *yaml.Node) { f.Generators = p.commands(v) },
		"patchFile":  func(v *yaml.Node) { patch, f.PatchFile = v, p.text(v) },
	})
	p.wantGenerators(f, n, "patchUpdated")
	switch {
	case patch == nil:
		p.fail(n, "patchUpdated has no patchFile")
	case f.PatchFile == "" || !filepath.IsLocal(filepath.FromSlash(f.PatchFile)):
		p.fail(patch, "patchFile %q is not a path below the directory that is rendered", f.PatchFile)
	}
}

func (p *parser) wantGenerators(f *File, n *yaml.Node, key string) {
	if len(f.Generators) == 0 && len(p.problems) == 0 {
		p.fail(n, "%s has no generators", key)
	}
}

func (p *parser) commands(n *yaml.Node) []Command {
	var list []Command
	p.each(n, func(e *yaml.Node) {
		if c := p.command(e); c != nil {
			list = append(list, *c)
		}
	})
	return list
}

func (p *parser) command(n *yaml.Node) *Command {
	c := &Command{Line: n.Line}
	p.fields(n, map[string]func(*yaml.Node){
		"command": func(v *yaml.Node) { c.Text, c.Line = p.text(v), v.Line },
		"timeout": func(v *yaml.Node) { c.Timeout = p.duration(v) },
	})
	if strings.TrimSpace(c.Text) == "" && len(p.problems) == 0 {
		p.fail(n, "command is missing")
		return nil
	}
	return c
}

// duration reads a timeout. One below a second is none, as in Flux.
func (p *parser) duration(n *yaml.Node) time.Duration {
	d, err := time.ParseDuration(p.text(n))
	if err != nil {
		p.fail(n, "timeout %q is not a duration such as 30s or 2m", n.Value)
	}
	if d < time.Second {
		return 0
	}
	return d
}

func (p *parser) text(n *yaml.Node) string {
	n = resolve(n)
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		p.fail(n, "want a string")
		return ""
	}
	return n.Value
}

func (p *parser) each(n *yaml.Node, do func(*yaml.Node)) {
	n = resolve(n)
	if n.Kind != yaml.SequenceNode {
		p.fail(n, "want a list")
		return
	}
	for _, e := range n.Content {
		do(resolve(e))
	}
}

// fields calls the function of each key, and reports keys that have none.
func (p *parser) fields(n *yaml.Node, known map[string]func(*yaml.Node)) {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		p.fail(n, "want keys and values")
		return
	}
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		do, ok := known[key.Value]
		switch {
		case !ok:
			hint := ""
			if near := diag.Nearest(key.Value, names); near != "" {
				hint = fmt.Sprintf("; did you mean %s?", near)
			}
			p.fail(key, "%s is not known here%s", key.Value, hint)
		case seen[key.Value]:
			p.fail(key, "%s is there twice", key.Value)
		default:
			do(n.Content[i+1])
		}
		seen[key.Value] = true
	}
}

// resolve follows an alias.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}
