package manifest

import (
	"cmp"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-gitops/sluice/core/manifest/internal/document"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// ignoreAnnotations tell that an object is to be left alone, if their value is
// "true". The first that an object has counts. "sync_only" is for the applier:
// such an object is applied, and never pruned (adr/0004).
var ignoreAnnotations = []string{"sluice.dev/ignore", "fluxcd.io/ignore", "flux.weave.works/ignore"}

// list takes each item of a List. Items of a RoleList and the like may leave
// out the kind that the list's own implies.
func (p *parser) list(n, items *yaml.Node) {
	if items.Kind == yaml.ScalarNode && items.ShortTag() == "!!null" {
		return
	}
	if items.Kind != yaml.SequenceNode {
		p.at(items, "the items of a List are no list", "")
		return
	}
	kind, apiVersion := strings.TrimSuffix(document.String(n, "kind"), "List"), ""
	if kind != "" {
		apiVersion = document.String(n, "apiVersion")
	}
	for _, item := range items.Content {
		item = document.Resolve(item)
		switch {
		case item.Kind != yaml.MappingNode:
			p.at(item, "the item is not an object", "")
		case document.ListItems(item) != nil:
			p.at(item, "a List in a List", "Put its items into the outer list.")
		default:
			p.object(item, apiVersion, kind)
		}
	}
}

// object takes one object. apiVersion and kind are for an item of a list that
// has none of its own.
func (p *parser) object(n *yaml.Node, apiVersion, kind string) {
	v, errs := document.Convert(n)
	for _, e := range errs {
		hint := document.Chunk{Line: p.line}.FileLines(e.Hint)
		p.at(e.Node, e.Error(), cmp.Or(hint, p.templateHint()))
	}
	if len(errs) > 0 {
		return
	}
	object, ok := v.(map[string]any)
	if !ok { // a mapping converts to a map
		p.at(n, "the document is not an object", notForCluster)
		return
	}
	if kind != "" && object["kind"] == nil && object["apiVersion"] == nil {
		object["kind"], object["apiVersion"] = kind, apiVersion
	}
	c := &checker{parser: p, node: n, object: object}
	ref, ok := c.check()
	if !ok {
		return
	}
	p.content.objects = append(p.content.objects,
		Object{Ref: ref, Line: lineOf(n) + p.line - 1, Ignore: c.ignored(), JSON: encode(object)})
}

// checker looks for what every object must have.
type checker struct {
	*parser
	node   *yaml.Node
	object map[string]any
	failed bool
}

// fail reports an error at the value that path leads to, or as near to it as
// there is a value.
func (c *checker) fail(summary, detail string, path ...string) {
	c.failed = true
	n := c.place(path...)
	c.at(n, summary, detail)
}

func (c *checker) place(path ...string) *yaml.Node {
	n := c.node
	for _, key := range path {
		next := document.Lookup(n, key)
		if next == nil {
			break
		}
		n = next
	}
	return n
}

// check returns the name of the object, and false if something is wrong, which
// it has reported.
func (c *checker) check() (applier.Ref, bool) {
	if c.object["apiVersion"] == nil && c.object["kind"] == nil {
		c.fail("no apiVersion and no kind", notForCluster)
		return applier.Ref{}, false
	}
	apiVersion := c.required(c.object, "apiVersion")
	kind := c.required(c.object, "kind")
	group, version, found := strings.Cut(apiVersion, "/")
	if !found {
		group, version = "", apiVersion
	}
	if apiVersion != "" && (version == "" || found && group == "" || strings.Contains(version, "/")) {
		c.fail(fmt.Sprintf("apiVersion %q is neither VERSION nor GROUP/VERSION", apiVersion), "", "apiVersion")
	}
	ref := applier.Ref{Group: group, Version: version, Kind: kind}
	metadata, ok := c.object["metadata"].(map[string]any)
	if !ok {
		c.noMetadata()
		return ref, false
	}
	if metadata["name"] == nil && metadata["generateName"] != nil {
		c.fail("generateName instead of a name",
			"With generateName each apply would make one more object. Give it a metadata.name.", "metadata", "generateName")
	} else {
		ref.Name = c.required(metadata, "metadata", "name")
	}
	if ns, ok := metadata["namespace"].(string); ok {
		ref.Namespace = ns
	} else if metadata["namespace"] != nil {
		c.notString("metadata", "namespace")
	}
	c.stringMap(metadata, "labels")
	c.stringMap(metadata, "annotations")
	return ref, !c.failed
}

func (c *checker) noMetadata() {
	if c.object["metadata"] == nil {
		c.fail("no metadata.name", "Each object needs a name.", "metadata")
		return
	}
	c.fail("metadata is not a mapping", "Indent the fields of metadata below it.", "metadata")
}

// required returns the text of the last field of path, which m must hold.
func (c *checker) required(m map[string]any, path ...string) string {
	v := m[path[len(path)-1]]
	s, ok := v.(string)
	switch {
	case v == nil, ok && s == "":
		c.fail("no "+strings.Join(path, "."), "Each object needs an apiVersion, a kind and a metadata.name.", path...)
	case !ok:
		c.notString(path...)
	}
	return s
}

func (c *checker) notString(path ...string) {
	n := c.place(path...)
	detail := ""
	if n.Kind == yaml.ScalarNode && n.Value != "" {
		detail = fmt.Sprintf("Put quotes around it: %q.", n.Value)
	}
	c.fail(strings.Join(path, ".")+" is not a string", detail, path...)
}

// stringMap checks that metadata's field maps strings to strings.
func (c *checker) stringMap(metadata map[string]any, field string) {
	v := metadata[field]
	if v == nil {
		return
	}
	m, ok := v.(map[string]any)
	if !ok {
		c.fail("metadata."+field+" is not a mapping", "", "metadata", field)
		return
	}
	for _, key := range sortedKeys(m) {
		if _, ok := m[key].(string); ok {
			continue
		}
		n, detail := c.place("metadata", field, key), `Write "" for an empty value.`
		if n.Kind == yaml.ScalarNode && n.Value != "" {
			detail = fmt.Sprintf("Put quotes around it: %q.", n.Value)
		}
		c.fail(fmt.Sprintf("the value of %s %q is not a string", strings.TrimSuffix(field, "s"), key), detail,
			"metadata", field, key)
	}
}

// ignored returns the annotation that tells to leave the object alone, or "".
func (c *checker) ignored() string {
	metadata, _ := c.object["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	for _, key := range ignoreAnnotations {
		value, ok := annotations[key]
		if !ok {
			continue
		}
		switch value {
		case "true":
			return fmt.Sprintf("annotation %s=true in the file", key)
		case "sync_only", "false", "":
		default:
			n := c.place("metadata", "annotations", key)
			c.add(diag.Warning, n.Line, n.Column, fmt.Sprintf("%s: %q has no effect", key, value),
				`It takes "true", which leaves the object alone, or "sync_only", which applies it and never deletes it.`)
		}
		return ""
	}
	return ""
}
