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
			if ref, _, ok := nameOf([]byte(doc)); ok {
				ref.Namespace = cmp.Or(ref.Namespace, namespace)
				refs = append(refs, ref)
			}
		}
	}
	return refs
}

// removed are the objects of c that go with the release. Hooks do not, nor does
// what says that it stays.
func removed(c helm.Content, namespace string) []helm.Change {
	var list []helm.Change
	for doc := range strings.SplitSeq("\n"+c.Manifest.Reveal(), "\n---") {
		if ref, stays, ok := nameOf([]byte(doc)); ok && !stays {
			list = append(list, helm.Change{Kind: ref.Kind, Namespace: cmp.Or(ref.Namespace, namespace), Name: ref.Name, Action: "delete"})
		}
	}
	return list
}

// policy is the annotation by which an object says that it outlives its release.
const policy = "helm.sh/resource-policy"

// nameOf reads which object a document holds, and whether that stays when the
// release goes.
func nameOf(doc []byte) (ref applier.Ref, stays, ok bool) {
	var object struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   struct {
			Name, Namespace string
			Annotations     map[string]string
		}
	}
	if yaml.NewDecoder(bytes.NewReader(doc)).Decode(&object) != nil || object.Kind == "" {
		return applier.Ref{}, false, false
	}
	group, version, found := strings.Cut(object.APIVersion, "/")
	if !found {
		group, version = "", object.APIVersion
	}
	ref = applier.Ref{Group: group, Version: version, Kind: object.Kind, Namespace: object.Metadata.Namespace, Name: object.Metadata.Name}
	return ref, object.Metadata.Annotations[policy] == "keep", true
}
