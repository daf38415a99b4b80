package edit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/manifest/internal/document"
)

// kustomizeFields are what an entry of a kustomization's images may have.
var kustomizeFields = map[string]bool{"name": true, "newName": true, "newTag": true, "digest": true, "tagSuffix": true}

// kustomizeImages returns the entries of the images of kustomizations: files of
// kustomize, which may do without a kind, and Flux 2's objects.
func (d *doc) kustomizeImages() (entries []field) {
	for i, root := range d.Roots {
		f := field{doc: d, path: itoa(i), node: root}
		m := f.mapping()
		if m == nil {
			continue
		}
		apiVersion, kind := document.String(m, "apiVersion"), document.String(m, "kind")
		images := f.get("images")
		switch {
		case strings.HasPrefix(apiVersion, "kustomize.config.k8s.io/"):
		case strings.HasPrefix(apiVersion, "kustomize.toolkit.fluxcd.io/") && kind == "Kustomization":
			images = f.in("spec", "images")
		case apiVersion == "" && (kind == "" || kind == "Kustomization") && areKustomizeImages(images):
		default:
			continue
		}
		for _, e := range images.items() {
			if name, ok := e.get("name").text(); ok && name != "" {
				entries = append(entries, e)
			}
		}
	}
	return entries
}

// areKustomizeImages reports whether a list without a kind above it looks like
// the images of a kustomization.
func areKustomizeImages(f field) bool {
	for _, e := range f.items() {
		list := keys(e.mapping(), 0)
		if len(list) == 0 {
			return false
		}
		for _, key := range list {
			if !kustomizeFields[key] {
				return false
			}
		}
	}
	return true
}

func (d *doc) kustomizeImage(e field) KustomizeImage {
	get := func(key string) string { s, _ := e.get(key).text(); return s }
	return KustomizeImage{Name: get("name"), NewName: get("newName"), NewTag: get("newTag"), Digest: get("digest"), Line: d.line(e.value()),
		Markers: d.markersAt(e.get("newName"), e.get("newTag"), e.get("digest"))}
}

// number counts, for each entry, which of its name it is.
func number(entries []KustomizeImage) {
	count := map[string]int{}
	for i := range entries {
		count[entries[i].Name]++
		entries[i].Nth = count[entries[i].Name]
	}
}

// isCalled reports whether an edit that names an image is about the entry.
func (k KustomizeImage) isCalled(name string) bool {
	if k.Name == name || k.NewName == name {
		return true
	}
	canonical := split(name).CanonicalName()
	return split(k.Name).CanonicalName() == canonical || k.NewName != "" && split(k.NewName).CanonicalName() == canonical
}

// Reference returns the image that the entry makes of its name.
func (k KustomizeImage) Reference() string {
	return join(cmp.Or(k.NewName, k.Name), k.NewTag, k.Digest)
}

// planKustomize returns the changes that make the entries of an image say what
// it becomes.
func (d *doc) planKustomize(e Edit, to ref.Ref) (changes []change, err error) {
	fields, entries := d.kustomized()
	meant := false
	for i, k := range entries {
		if !e.isAbout(k) {
			continue
		}
		meant = true
		c, err := fields[i].become(k, to)
		if err != nil {
			return nil, err
		}
		changes = append(changes, c...)
	}
	if !meant {
		return nil, e.otherThan(entries)
	}
	return changes, nil
}

// kustomized returns the entries of the document, each with its field.
func (d *doc) kustomized() (fields []field, entries []KustomizeImage) {
	if d.options.Values != "" {
		return nil, nil
	}
	fields = d.kustomizeImages()
	for _, f := range fields {
		entries = append(entries, d.kustomizeImage(f))
	}
	number(entries)
	return fields, entries
}

// names reports whether an edit names the entry, which may be of another image
// than the edit.
func (e Edit) names(k KustomizeImage) bool {
	if e.Nth > 0 {
		return k.Name == e.Kustomize && k.Nth == e.Nth
	}
	return k.isCalled(e.Kustomize)
}

// isAbout reports whether an edit names the entry, and is of its image.
func (e Edit) isAbout(k KustomizeImage) bool {
	now := split(k.Reference())
	switch {
	case !e.names(k):
		return false
	case e.From != "":
		return now == split(e.From) || now == split(e.Image)
	}
	name := now.CanonicalName()
	return name == split(e.Image).CanonicalName() || name == split(e.Kustomize).CanonicalName()
}

// otherThan is the error of an edit of which none of the entries is of the
// image.
func (e Edit) otherThan(entries []KustomizeImage) error {
	i := slices.IndexFunc(entries, e.names)
	switch {
	case i < 0:
		return fmt.Errorf("%s: %w", e.subject(), ErrNotFound)
	case e.From != "":
		return &ChangedError{Want: e.From, Have: entries[i].Reference()}
	}
	return &RefusedError{Line: entries[i].Line, Reason: fmt.Sprintf("the entry %s makes %s of it, which is another image than %s", entries[i].Name, entries[i].Reference(), e.Image)}
}

// becomeBy is become, if the entry says what e expects.
func (f field) becomeBy(e Edit, k KustomizeImage, to ref.Ref) ([]change, error) {
	changes, err := f.become(k, to)
	if now := k.Reference(); err == nil && len(changes) > 0 && e.From != "" && now != e.From {
		return nil, &ChangedError{Want: e.From, Have: now}
	}
	return changes, err
}

// become returns the changes that make the entry k say that the image becomes
// to.
func (f field) become(k KustomizeImage, to ref.Ref) (changes []change, err error) {
	wants := []entry{{"newName", to.Name()}, {"newTag", to.Tag}, {"digest", to.Digest}}
	if k.NewName == "" && to.Name() == k.Name {
		wants = wants[1:]
	}
	var missing []entry
	var gone []string
	for _, w := range wants {
		at := f.get(w.key)
		switch {
		case at.node == nil && w.value != "":
			missing = append(missing, w)
		case at.node != nil && w.value == "":
			gone = append(gone, w.key)
		case at.node != nil:
			c, err := sets(setting{at, w.value})
			if err != nil {
				return nil, err
			}
			changes = append(changes, c...)
		}
	}
	if len(missing) > 0 {
		changes = append(changes, change{field: f, insert: missing})
	}
	if len(gone) > 0 {
		changes = append(changes, change{field: f, remove: gone})
	}
	return changes, nil
}

// isName reports whether s is the name of an image, without tag and digest.
func isName(s string) bool {
	r, err := ref.Parse(s)
	return err == nil && r.Tag == "" && r.Digest == ""
}

// kustomizations returns the roots that kustomize itself reads, of which its
// files may do without a kind.
func (d *doc) kustomizations() (roots []field) {
	for i, root := range d.Roots {
		f := field{doc: d, path: itoa(i), node: root}
		m := f.mapping()
		if m == nil {
			continue
		}
		apiVersion, kind := document.String(m, "apiVersion"), document.String(m, "kind")
		if strings.HasPrefix(apiVersion, "kustomize.config.k8s.io/") ||
			apiVersion == "" && (kind == "" || kind == "Kustomization") && areKustomizeImages(f.get(imagesKey)) {
			roots = append(roots, f)
		}
	}
	return roots
}

// planEntry returns the changes that make the entry of a name say what its
// image becomes, and add it if there is none.
func (d *doc) planEntry(e Edit, to ref.Ref) (changes []change, err error) {
	roots := d.kustomizations()
	if len(roots) != 1 {
		return nil, d.refuse(nil, "there are %d kustomizations", len(roots))
	}
	images := roots[0].get(imagesKey)
	found := false
	for _, f := range images.items() {
		k := d.kustomizeImage(f)
		if k.Name != e.Kustomize {
			continue
		}
		found = true
		c, err := f.becomeBy(e, k, to)
		if err != nil {
			return nil, err
		}
		changes = append(changes, c...)
	}
	if found {
		return changes, nil
	}
	switch old := roots[0].get("imageTags"); {
	case images.twice || images.node != nil && !images.isOwn(imagesKey):
		return nil, d.refuse(images.node, "images stands twice, or is merged in from elsewhere")
	case old.node != nil:
		return nil, d.refuse(old.node, "imageTags is what images was called once: rename it")
	}
	item := newEntry(e.Kustomize, to)
	if len(item) == 1 {
		return nil, d.refuse(images.anyNode(), "an entry needs another name, a tag or a digest")
	}
	return []change{{field: images, item: item}}, nil
}

// newEntry returns what an entry says that makes the image name to.
func newEntry(name string, to ref.Ref) []entry {
	item := []entry{{"name", name}}
	for _, e := range []entry{{"newName", to.Name()}, {"newTag", to.Tag}, {"digest", to.Digest}} {
		if e.value != "" && e != (entry{"newName", name}) {
			item = append(item, e)
		}
	}
	return item
}
