package release

import (
	"bytes"
	"cmp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// Objects are the names of what a revision consists of, hooks included. What
// names no namespace is taken for one of namespace, as Helm does with what is in
// namespaces. A document that cannot be read is left out.
func Objects(c helm.Content, namespace string) []applier.Ref {
	var refs []applier.Ref
	for _, text := range []string{c.Manifest.Reveal(), c.Hooks.Reveal()} {
		for doc := range strings.SplitSeq("\n"+text, "\n---") {
			if ref, ok := nameOf([]byte(doc)); ok {
				ref.Namespace = cmp.Or(ref.Namespace, namespace)
				refs = append(refs, ref)
			}
		}
	}
	return refs
}

// nameOf reads which object a document holds.
func nameOf(doc []byte) (applier.Ref, bool) {
	var object struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   struct{ Name, Namespace string }
	}
	if yaml.NewDecoder(bytes.NewReader(doc)).Decode(&object) != nil || object.Kind == "" {
		return applier.Ref{}, false
	}
	group, version, found := strings.Cut(object.APIVersion, "/")
	if !found {
		group, version = "", object.APIVersion
	}
	return applier.Ref{Group: group, Version: version, Kind: object.Kind, Namespace: object.Metadata.Namespace, Name: object.Metadata.Name}, true
}
