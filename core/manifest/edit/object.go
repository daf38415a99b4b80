package edit

import (
	"cmp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-gitops/sluice/core/manifest/internal/document"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// object is an object of a document, or an item of its List.
type object struct {
	field
	ref  applier.Ref // with its namespace
	id   string
	line int // of the file
}

// findObjects lists the objects that have a name, or the release that the
// document holds values of.
func (d *doc) findObjects() {
	if d.options.Values != "" {
		d.findValues()
		return
	}
	for i, root := range d.Roots {
		f := field{doc: d, path: itoa(i), node: root}
		m := f.mapping()
		if m == nil {
			continue
		}
		if document.ListItems(m) == nil {
			d.addObject(f, "", "")
			continue
		}
		kind, apiVersion := strings.TrimSuffix(document.String(m, "kind"), "List"), ""
		if kind != "" {
			apiVersion = document.String(m, "apiVersion")
		}
		for _, item := range f.get("items").items() {
			d.addObject(item, apiVersion, kind)
		}
	}
}

// findValues lists the release.
func (d *doc) findValues() {
	for i, root := range d.Roots {
		f := field{doc: d, path: itoa(i), node: root}
		if f.mapping() == nil {
			continue
		}
		o := &object{field: f, line: d.line(root), id: canonicalID(d.options.Values, d.options)}
		namespace, rest, _ := strings.Cut(o.id, ":")
		kind, name, _ := strings.Cut(rest, "/")
		o.ref = applier.Ref{Kind: kind, Namespace: namespace, Name: name}
		d.objects = append(d.objects, o)
	}
}

// addObject adds an object if it has kind and name. apiVersion and kind are
// for an item of a list that has none of its own.
func (d *doc) addObject(f field, apiVersion, kind string) {
	m := f.mapping()
	if m == nil {
		return
	}
	if own := document.String(m, "kind"); own != "" {
		kind, apiVersion = own, document.String(m, "apiVersion")
	}
	metadata := f.get("metadata")
	name, _ := metadata.get("name").text()
	if kind == "" || name == "" {
		return
	}
	namespace, _ := metadata.get("namespace").text()
	o := &object{field: f, line: d.line(m)}
	if len(m.Content) > 0 {
		o.line = d.line(m.Content[0])
	}
	group, version, found := strings.Cut(apiVersion, "/")
	if !found {
		group, version = "", apiVersion
	}
	o.ref = applier.Ref{Group: group, Version: version, Kind: kind, Name: name,
		Namespace: cmp.Or(namespace, d.options.Namespace, "default")}
	o.id = id(o.ref.Namespace, kind, name)
	d.objects = append(d.objects, o)
}

// id returns how a workload is called.
func id(namespace, kind, name string) string {
	return namespace + ":" + strings.ToLower(kind) + "/" + name
}

// canonicalID returns an ID as id makes it.
func canonicalID(s string, o Options) string {
	namespace, rest, ok := strings.Cut(s, ":")
	if !ok {
		namespace, rest = cmp.Or(o.Namespace, "default"), s
	}
	kind, name, _ := strings.Cut(rest, "/")
	return id(namespace, kind, name)
}

// podPaths are where the built-in kinds have the specification of their pods,
// by group and kind.
var podPaths = map[string][]string{
	"/Pod":                   {"spec"},
	"/ReplicationController": {"spec", "template", "spec"},
	"apps/Deployment":        {"spec", "template", "spec"},
	"apps/DaemonSet":         {"spec", "template", "spec"},
	"apps/StatefulSet":       {"spec", "template", "spec"},
	"apps/ReplicaSet":        {"spec", "template", "spec"},
	"extensions/Deployment":  {"spec", "template", "spec"},
	"extensions/DaemonSet":   {"spec", "template", "spec"},
	"extensions/ReplicaSet":  {"spec", "template", "spec"},
	"batch/Job":              {"spec", "template", "spec"},
	"batch/CronJob":          {"spec", "jobTemplate", "spec", "template", "spec"},
}

// images returns where the object has images, init containers last. isWorkload
// is false for an object of a kind that has none.
func (o *object) images() (list []*image, isWorkload bool) {
	if o.doc.options.Values != "" {
		return o.valuesImages(o.field), true
	}
	key := o.ref.Group + "/" + o.ref.Kind
	switch path, ok := podPaths[key]; {
	case ok:
		spec := o.in(path...)
		list = containers(spec.get("containers"), FormContainer, false)
		list = append(list, containers(spec.get("initContainers"), FormContainer, true)...)
		isWorkload = true
	case isRelease(o.ref.Group, o.ref.Kind):
		list, isWorkload = o.valuesImages(o.in("spec", "values")), true
	}
	for _, k := range o.doc.options.Kinds {
		if k.Group == o.ref.Group && k.Kind == o.ref.Kind {
			list, isWorkload = append(list, o.kindImages(k)...), true
		}
	}
	return list, isWorkload
}

// containers returns the images of a list of containers, or of a single one.
func containers(f field, form string, init bool) (list []*image) {
	items := f.items()
	if f.mapping() != nil {
		items = []field{f}
	}
	for _, c := range items {
		name, _ := c.get("name").text()
		ref := c.get("image")
		if s, ok := ref.text(); !ok || s == "" || c.mapping() == nil {
			continue
		}
		list = append(list, &image{name: name, init: init, form: form, ref: ref})
	}
	return list
}

// workload returns what the object is to the outside, or false if it is none.
func (o *object) workload() (Workload, bool) {
	images, ok := o.images()
	if !ok {
		return Workload{}, false
	}
	w := Workload{ID: o.id, Ref: o.ref, Line: o.line, Annotations: o.annotations(), Containers: []Container{}}
	if o.doc.options.Values != "" {
		w.Sets = o.setsImages()
	}
	for _, im := range images {
		w.Containers = append(w.Containers, Container{Name: im.name, Image: im.read(), Init: im.init,
			Line: o.doc.line(im.ref.value()), Form: im.form, Markers: o.doc.markersAt(im.fields()...)})
	}
	return w, true
}

// annotations returns the object's own annotations.
func (o *object) annotations() map[string]string {
	m := map[string]string{}
	if o.doc.options.Values != "" {
		return m
	}
	f := o.in("metadata", "annotations")
	for _, key := range keys(f.mapping(), 0) {
		if text, ok := f.get(key).text(); ok {
			m[key] = text
		}
	}
	return m
}

// keys returns the keys of a mapping, with those that are merged in, in order
// and perhaps more than once.
func keys(m *yaml.Node, depth int) (list []string) {
	if m == nil || depth > maxMerges {
		return nil
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if document.IsMerge(m.Content[i]) {
			for _, s := range mergeSources(m.Content[i+1]) {
				list = append(list, keys(s, depth+1)...)
			}
		} else if k := document.Resolve(m.Content[i]); k.Kind == yaml.ScalarNode {
			list = append(list, k.Value)
		}
	}
	return list
}
