package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"

	"github.com/sluice-gitops/sluice/sdk/renderer"
)

// output is the directory that objects are written to, each to a file of its
// own, in their order.
type output struct {
	dir     string
	written int
	origins map[string]renderer.Origin
}

var unfit = regexp.MustCompile(`[^a-z0-9.-]+`)

// write writes what dir was built to.
func (o *output) write(v *view, dir string, built resmap.ResMap) error {
	kustomization := path.Join(dir, v.kustomizationOf(dir))
	data, err := os.ReadFile(filepath.Join(v.dir, filepath.FromSlash(kustomization)))
	if err != nil {
		return notThere(kustomization, err)
	}
	keep := asksForOrigins(data)
	places := places{view: v, docs: map[string][]place{}}
	for _, r := range built.Resources() {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		origin := places.of(dir, kustomization, r)
		if !keep {
			if err := r.SetOrigin(nil); err != nil {
				return fmt.Errorf("%s: %w", kustomization, err)
			}
		}
		text, err := r.AsYAML()
		if err != nil {
			return problem(kustomization, fmt.Sprintf("%s cannot be written: %v", r.CurId(), err), "")
		}
		o.written++
		name := unfit.ReplaceAllString(strings.ToLower(fmt.Sprintf("%06d-%.40s-%.100s", o.written, r.GetKind(), r.GetName())), "-") + ".yaml"
		if err := os.WriteFile(filepath.Join(o.dir, name), text, 0o600); err != nil {
			return err
		}
		o.origins[name] = origin
	}
	return nil
}

// places finds the lines of objects in the files that they come from.
type places struct {
	view *view
	docs map[string][]place // by file
}

type place struct {
	kind, name string
	line       int
}

// of returns where r comes from: the file of a resource, or the kustomization
// that generates it.
func (p *places) of(dir, kustomization string, r *resource.Resource) renderer.Origin {
	fallback := renderer.Origin{File: kustomization, Line: 1}
	o, err := r.GetOrigin()
	if err != nil || o == nil {
		return fallback
	}
	for _, rel := range []string{o.Path, o.ConfiguredIn} {
		if rel == "" {
			continue
		}
		file := path.Join(dir, filepath.ToSlash(rel))
		if _, _, err := p.view.locate(virtual(file)); err != nil {
			return fallback
		}
		return renderer.Origin{File: file, Line: p.line(file, r)}
	}
	return fallback
}

// line finds r in file by its kind, and by its name as far as kustomize has
// left it: prefixes and suffixes may stand around it. 1 if it is not clear.
func (p *places) line(file string, r *resource.Resource) int {
	docs, known := p.docs[file]
	if !known {
		docs = p.read(file)
		p.docs[file] = docs
	}
	best, line, ties := -1, 1, 0
	for _, d := range docs {
		if d.kind != r.GetKind() || !strings.Contains(r.GetName(), d.name) {
			continue
		}
		switch n := len(d.name); {
		case n > best:
			best, line, ties = n, d.line, 0
		case n == best:
			ties++
		}
	}
	if ties > 0 {
		return 1
	}
	return line
}

// read lists the objects of a file, and the generators of a kustomization.
func (p *places) read(file string) []place {
	real, _, err := p.view.locate(virtual(file))
	if err != nil {
		return nil
	}
	data, err := os.ReadFile(real)
	if err != nil {
		return nil
	}
	var docs []place
	for dec := yaml.NewDecoder(strings.NewReader(string(data))); ; {
		var doc yaml.Node
		if err := dec.Decode(&doc); err != nil {
			return docs
		}
		if len(doc.Content) > 0 {
			docs = append(docs, objects(doc.Content[0])...)
		}
	}
}

// objects returns what a document declares.
func objects(n *yaml.Node) []place {
	var docs []place
	for kind, list := range map[string]string{"ConfigMap": "configMapGenerator", "Secret": "secretGenerator"} {
		if g := field(n, list); g != nil {
			for _, e := range g.Content {
				docs = append(docs, place{kind, text(e, "name"), e.Line})
			}
		}
	}
	if items := field(n, "items"); items != nil && strings.HasSuffix(text(n, "kind"), "List") {
		for _, e := range items.Content {
			docs = append(docs, objects(e)...)
		}
		return docs
	}
	if meta := field(n, "metadata"); meta != nil && text(n, "kind") != "" {
		docs = append(docs, place{text(n, "kind"), text(meta, "name"), n.Line})
	}
	return docs
}

func field(n *yaml.Node, key string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func text(n *yaml.Node, key string) string {
	if f := field(n, key); f != nil {
		return f.Value
	}
	return ""
}
