package declare

import (
	"strings"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// Name is what people call a release: as Helm does, or as its resource is called.
type Name struct {
	Namespace string // empty: any
	Name      string
}

// ParseName reads ghost, demo/ghost or demo:helmrelease/ghost.
func ParseName(text string) Name {
	namespace, short, qualified := strings.Cut(text, "/")
	if ns, rest, ok := strings.Cut(text, ":"); ok { // demo:helmrelease/ghost
		if _, resourceName, ok := strings.Cut(rest, "/"); ok {
			namespace, short, qualified = ns, resourceName, true
		}
	}
	if !qualified {
		return Name{Name: text}
	}
	return Name{Namespace: namespace, Name: short}
}

// Is reports whether people may call the release of d so.
func (d Declaration) Is(n Name, last release.Record) bool {
	if ref, _ := d.Release(last); n.is(ref) {
		return true
	}
	c := d.Resource
	return c != nil && n.is(helm.ReleaseRef{Namespace: c.Ref.Namespace, Name: c.Ref.Name})
}

func (n Name) is(ref helm.ReleaseRef) bool {
	return ref.Name == n.Name && (n.Namespace == "" || ref.Namespace == n.Namespace)
}
