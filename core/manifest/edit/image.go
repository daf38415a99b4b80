package edit

import (
	"strings"

	"github.com/sluice-gitops/sluice/core/images/ref"
)

// image is a place, or several fields, where an object has an image.
type image struct {
	name string
	init bool
	form string

	ref field // the whole reference, or what the fields below leave of it
	// The parts that have fields of their own; nil for those that have none.
	registry, tag, digest *field
}

// read returns the reference, put together.
func (im *image) read() string {
	s, _ := im.ref.text()
	if im.registry == nil && im.tag == nil && im.digest == nil {
		return s
	}
	r := split(s)
	name := r.Name()
	if registry := im.part(im.registry); registry != "" {
		name = strings.TrimSuffix(registry, "/") + "/" + name
	}
	if tag := im.part(im.tag); tag != "" {
		r.Tag, r.Digest, _ = strings.Cut(tag, "@")
	}
	if digest := im.part(im.digest); digest != "" {
		r.Digest = digest
	}
	return join(name, r.Tag, r.Digest)
}

// fields returns all fields of the image.
func (im *image) fields() []field {
	list := []field{im.ref}
	for _, f := range []*field{im.registry, im.tag, im.digest} {
		if f != nil {
			list = append(list, *f)
		}
	}
	return list
}

func (im *image) part(f *field) string {
	if f == nil {
		return ""
	}
	s, _ := f.text()
	return s
}

// write returns the changes that make the image to.
func (im *image) write(to ref.Ref) ([]change, error) {
	if im.read() == to.String() {
		return nil, nil
	}
	if im.tag == nil && im.registry == nil && im.digest == nil {
		return sets(setting{im.ref, to.String()})
	}
	name, tag, digest := to.Name(), to.Tag, to.Digest
	var list []setting
	if im.registry != nil {
		var registry string
		registry, name = splitRegistry(to, im.part(im.registry))
		list = append(list, setting{*im.registry, registry})
	}
	if im.digest != nil {
		list = append(list, setting{*im.digest, digest})
		digest = ""
	}
	if im.tag != nil {
		if tag == "" && digest != "" {
			return nil, im.ref.doc.refuse(im.tag.value(), "a digest without a tag cannot stand in the field of the tag")
		}
		list = append(list, setting{*im.tag, join("", tag, digest)})
		tag, digest = "", ""
	}
	list = append(list, setting{im.ref, join(name, tag, digest)})
	return sets(list...)
}

// splitRegistry returns what a field for the registry gets, and the rest of the
// name: the field stays as it is if it names the same host.
func splitRegistry(to ref.Ref, now string) (registry, rest string) {
	if rest, ok := strings.CutPrefix(to.Name(), strings.TrimSuffix(now, "/")+"/"); ok {
		return now, rest
	}
	if (ref.Ref{Domain: now}).Host() == to.Host() {
		return now, to.Repository
	}
	if to.Domain == "" {
		return "docker.io", to.Repository
	}
	return to.Domain, to.Repository
}

// split takes a reference apart that need not be valid.
func split(s string) ref.Ref {
	if r, err := ref.Parse(s); err == nil {
		return r
	}
	var r ref.Ref
	name, digest, _ := strings.Cut(s, "@")
	r.Digest = digest
	if i := strings.LastIndex(name, ":"); i > strings.LastIndex(name, "/") {
		name, r.Tag = name[:i], name[i+1:]
	}
	r.Repository = name
	return r
}

// join puts a reference together; without a name it is what follows the name.
func join(name, tag, digest string) string {
	if tag != "" && name != "" {
		name += ":"
	}
	name += tag
	if digest != "" {
		name += "@" + digest
	}
	return name
}
