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

// Fit is how a Name fits a declaration. Where it fits several, the best one counts.
type Fit int

const (
	Unfit       Fit = iota
	FitsSource      // the resource is called so that declares the release
	FitsFormer      // the release is called so that it made before it got another name
	FitsRelease     // the release is called so that it declares
)

// Called tells how people call the release of d so, if they do; last is what its
// last run left.
func (d Declaration) Called(n Name, last release.Record) Fit {
	switch ref, _ := d.Release(last); {
	case n.is(ref):
		return FitsRelease
	case last.Ref.Name != "" && n.is(last.Ref):
		return FitsFormer
	case d.Resource != nil && n.is(helm.ReleaseRef{Namespace: d.Resource.Ref.Namespace, Name: d.Resource.Ref.Name}):
		return FitsSource
	}
	return Unfit
}

func (n Name) is(ref helm.ReleaseRef) bool {
	return ref.Name == n.Name && (n.Namespace == "" || ref.Namespace == n.Namespace)
}
