package releases

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	chart "helm.sh/helm/v4/pkg/chart/v2"
	release "helm.sh/helm/v4/pkg/release/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// What is below tells early, and by name, what a limit to some namespaces
// forbids: before a release is recorded. That it is kept whoever sends a request
// is the cluster package's business.

// confine refuses releases outside.
func (s *session) confine(ref helm.ReleaseRef) error {
	if limit := s.connection.Namespaces(); len(limit) > 0 && !slices.Contains(limit, ref.Namespace) {
		return sdk.Permanent(fmt.Errorf("release %s/%s is in none of the namespaces of the helm: %s", ref.Namespace, ref.Name, strings.Join(limit, ", ")))
	}
	return nil
}

// confineRelease refuses a release with objects or hooks outside.
func (o *operation) confineRelease(r *release.Release) error {
	err := o.confineManifest(r.Manifest)
	for _, h := range r.Hooks {
		if err == nil {
			err = o.confineManifest("# Source: " + h.Path + "\n" + h.Manifest)
		}
	}
	return err
}

// confineManifest refuses objects outside, and such that belong to no
// namespace, except the namespaces of the limit.
func (o *operation) confineManifest(manifest string) error {
	limit := o.session.connection.Namespaces()
	if len(limit) == 0 {
		return nil
	}
	all, err := objects(manifest, false)
	if err != nil {
		return o.failure(err)
	}
	var problems []error
	for _, each := range all {
		namespace, err := o.namespaceOf(each)
		switch {
		case err != nil: // a kind that may yet come
			return o.failure(fmt.Errorf("%s (%s): %w", each, each.file, err))
		case namespace == "":
			problems = append(problems, fmt.Errorf("%s (%s) belongs to the whole cluster", each, each.file))
		case !slices.Contains(limit, namespace):
			problems = append(problems, fmt.Errorf("%s (%s) is in namespace %s", each, each.file, namespace))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return sdk.Permanent(o.failure(fmt.Errorf("the helm is limited to the namespaces %s: %w", strings.Join(limit, ", "), errors.Join(problems...))))
}

// namespaceOf an object, which is its own if it is a namespace; empty, if it
// has none.
func (o *operation) namespaceOf(each object) (string, error) {
	u := each.unstructured()
	gvk := u.GroupVersionKind()
	if gvk.Group == "" && gvk.Kind == "Namespace" {
		return u.GetName(), nil
	}
	mapping, err := o.session.connection.Mapper().RESTMapping(gvk.GroupKind(), gvk.Version)
	switch {
	case err != nil:
		return "", err
	case mapping.Scope.Name() != meta.RESTScopeNameNamespace:
		return "", nil
	case u.GetNamespace() == "":
		return o.ref.Namespace, nil
	}
	return u.GetNamespace(), nil
}

// confineDefinitions refuses charts that bring definitions of kinds.
func (o *operation) confineDefinitions(c *chart.Chart, policy helm.CRDs) error {
	limit := o.session.connection.Namespaces()
	if found := c.CRDObjects(); len(limit) > 0 && len(found) > 0 && policy != helm.CRDsSkip {
		return sdk.Permanent(o.failure(fmt.Errorf("the helm is limited to the namespaces %s, and %s defines kinds for the whole cluster: skip the definitions, and install them another way", strings.Join(limit, ", "), found[0].Filename)))
	}
	return nil
}
