package edit

import (
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/images/ref"
)

// ChartImage is what the image at the top of values is called.
const ChartImage = "chart-image"

// aliasDomains are what annotations that map images may end their first part
// with, in the order in which they count: repository.fluxcd.io/ALIAS.
var aliasDomains = []string{"sluice.dev/", "fluxcd.io/"}

// isRelease reports whether objects of a kind are Helm releases with values.
func isRelease(group, kind string) bool {
	switch group {
	case "helm.fluxcd.io", "flux.weave.works", "helm.toolkit.fluxcd.io":
		return kind == "HelmRelease"
	case "helm.integrations.flux.weave.works":
		return kind == "FluxHelmRelease"
	}
	return false
}

// valuesImages returns the images in the values of a Helm release: of the
// values themselves, of each mapping right below them, and those that
// annotations name, which win over the others.
func (o *object) valuesImages(values field) []*image {
	found := map[string]*image{}
	add := func(name string, f field) {
		if im := imageIn(f); im != nil {
			im.name, im.form = name, FormValues
			found[name] = im
		}
	}
	for _, key := range keys(values.mapping(), 0) {
		if f := values.get(key); f.mapping() != nil {
			add(key, f)
		}
	}
	add(ChartImage, values)
	o.aliases(values, found)
	names := slices.Sorted(maps.Keys(found))
	if i := slices.Index(names, ChartImage); i > 0 {
		names = slices.Insert(slices.Delete(names, i, i+1), 0, ChartImage)
	}
	list := make([]*image, len(names))
	for i, name := range names {
		list[i] = found[name]
	}
	return list
}

// The fields that spell an image out side by side, and those of a mapping image.
var (
	imageFields  = []string{"registry", "image", "tag", "digest"}
	imageMapping = []string{"registry", "repository", "tag", "digest"}
)

// setsImages tells where values say something of images, see Workload.Sets.
func (o *object) setsImages() map[string]int {
	sets := map[string]int{}
	note := func(name string, f field) {
		if n := f.value(); n != nil && sets[name] == 0 {
			sets[name] = o.doc.line(n)
		}
	}
	for _, key := range keys(o.mapping(), 0) {
		f := o.get(key)
		if f.mapping() == nil { // whatever was a mapping there is none any more
			note(key, f)
		}
		for _, part := range imageParts(f) {
			note(key, part)
		}
	}
	for _, part := range imageParts(o.field) {
		note(ChartImage, part)
	}
	return sets
}

// imageParts are the fields of a mapping that may be parts of an image.
func imageParts(m field) (parts []field) {
	for _, name := range imageFields {
		f := m.get(name)
		if name != "image" || f.mapping() == nil {
			parts = append(parts, f)
			continue
		}
		for _, name := range imageMapping {
			parts = append(parts, f.get(name))
		}
	}
	return parts
}

// imageIn returns the image of a mapping in one of the eight shapes, or nil:
// image is a reference, with a tag and a registry beside it or not, or image is
// a mapping with repository, and a tag and a registry beside that or not. A
// digest beside them counts too.
func imageIn(m field) *image {
	im := &image{}
	switch f := m.get("image"); {
	case f.mapping() != nil:
		m, im.ref = f, f.get("repository")
	default:
		im.ref = f
	}
	if !im.ref.isText() {
		return nil
	}
	im.addParts(m.get("registry"), m.get("tag"), m.get("digest"))
	return im.valid()
}

// valid returns the image if it is one, or nil: values may call anything image.
func (im *image) valid() *image {
	if _, err := ref.Parse(im.read()); err != nil {
		return nil
	}
	return im
}

// addParts takes the fields for parts of the image. An empty field counts only
// if the part is missing in the reference, where it would be written to.
func (im *image) addParts(registry, tag, digest field) {
	s, _ := im.ref.text()
	in := split(s)
	if v, ok := registry.text(); ok && v != "" {
		im.registry = &registry
	}
	if usable(tag, in.Tag == "" && in.Digest == "") {
		im.tag = &tag
	}
	if usable(digest, in.Digest == "") {
		im.digest = &digest
	}
}

// usable reports whether a field holds a part of an image, or may do so.
func usable(f field, missing bool) bool {
	if v, ok := f.text(); ok && v != "" {
		return true
	}
	_, isText := f.text()
	return missing && (isText || f.isNull())
}

// aliases adds the images that annotations map to values. An alias whose path
// leads nowhere leaves what was found by shape; what an alias names is not
// found by shape as well.
func (o *object) aliases(values field, found map[string]*image) {
	annotations := o.annotations()
	for _, name := range aliasNames(annotations) {
		at := func(part string) field {
			for _, domain := range aliasDomains {
				if p, ok := annotations[part+"."+domain+name]; ok {
					if path, err := parsePath(p); err == nil {
						return first(path.follow(values))
					}
				}
			}
			return field{doc: o.doc}
		}
		im := &image{name: name, form: FormAlias, ref: at("repository")}
		if !im.ref.isText() {
			continue
		}
		im.addParts(at("registry"), at("tag"), field{doc: o.doc})
		if im.valid() == nil {
			continue
		}
		maps.DeleteFunc(found, func(_ string, other *image) bool {
			return other.form == FormValues && other.ref.path == im.ref.path
		})
		found[name] = im
	}
}

// aliasNames returns the aliases that annotations define, sorted.
func aliasNames(annotations map[string]string) []string {
	names := map[string]bool{}
	for key := range annotations {
		for _, domain := range aliasDomains {
			if name, ok := strings.CutPrefix(key, "repository."+domain); ok && name != "" {
				names[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}
