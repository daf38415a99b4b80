package desired

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// resolver finds kinds: first among the definitions of the set, so that a
// definition and its objects can come together, then in the cluster.
type resolver struct {
	kinds     *cluster.Kinds
	defined   map[schema.GroupVersionKind]cluster.Kind
	refreshed bool
}

func (r *resolver) find(ctx context.Context, gvk schema.GroupVersionKind) (cluster.Kind, error) {
	kind, err := r.kinds.Find(ctx, gvk)
	if _, missing := errors.AsType[*cluster.NotServedError](err); !missing || r.refreshed {
		return kind, err
	}
	r.refreshed = true
	if err := r.kinds.Refresh(ctx); err != nil {
		return cluster.Kind{}, err
	}
	return r.kinds.Find(ctx, gvk)
}

// object resolves one draft. The error is about the cluster, never about the
// draft.
func (r *resolver) object(ctx context.Context, d *draft, o Options) (Object, error) {
	meta, _ := d.content["metadata"].(map[string]any)
	obj := Object{File: d.File, Line: d.Line, Ref: applier.Ref{
		Group: d.gvk.Group, Version: d.gvk.Version, Kind: d.gvk.Kind,
		Namespace: text(meta, "namespace"), Name: text(meta, "name"),
	}}
	if summary, detail := incomplete(obj.Ref, meta); summary != "" {
		obj.fail(summary, detail)
		return obj, nil
	}
	obj.Ignored = d.Ignore
	if obj.Ignored == "" {
		obj.Ignored = ignoredInFile(meta, d.File, d.Line)
	}
	kind, inSet := r.defined[d.gvk]
	if !inSet {
		var err error
		kind, err = r.find(ctx, d.gvk)
		if missing, ok := errors.AsType[*cluster.NotServedError](err); ok {
			obj.fail(missing.Error(), adviceFor(missing))
			return obj, nil
		} else if err != nil {
			return obj, err
		}
	}
	obj.Kind, obj.InSet = kind, inSet
	if err := finish(&obj, d, meta, o); err != nil {
		return obj, fmt.Errorf("%s:%d: %w", d.File, d.Line, err)
	}
	return obj, nil
}

func incomplete(ref applier.Ref, meta map[string]any) (summary, detail string) {
	for _, field := range []string{"name", "namespace"} {
		if _, ok := meta[field].(string); !ok && meta[field] != nil {
			return "metadata." + field + " is not a string", "YAML reads it as something else, for example as a number or as true or false. Quote it."
		}
	}
	switch {
	case ref.Kind == "" || ref.Version == "":
		return "not a Kubernetes object", "It has no apiVersion or no kind."
	case ref.Name == "" && text(meta, "generateName") != "":
		return "metadata.generateName cannot be applied", "Each apply would make another object. Give it a metadata.name."
	case ref.Name == "":
		return "no metadata.name", "Every object needs a name."
	}
	return "", ""
}

// releases are the API groups of the custom resources that declare releases.
var releases = map[string]bool{"helm.fluxcd.io": true, "flux.weave.works": true, "helm.integrations.flux.weave.works": true}

func adviceFor(e *cluster.NotServedError) string {
	switch {
	case e.Cause != nil:
		return "The APIService of the group has no healthy backend. Everything else goes on."
	case len(e.Versions) > 0:
		return "Change its apiVersion to one that is served; the schema may differ."
	case releases[e.GVK.Group]:
		return "Its definition comes with `sluice install --crds | kubectl apply --server-side -f -`."
	case len(e.Groups) > 0:
		return "Change its apiVersion to one that is served."
	}
	return "Install its CustomResourceDefinition, or put it into the same set."
}

// finish places the object in a namespace and makes its body.
func finish(obj *Object, d *draft, meta map[string]any, o Options) error {
	place(obj, meta, o)
	if obj.Problem != nil {
		return nil
	}
	body, err := prepare(d.content, meta, obj, o)
	if err != nil || obj.Problem != nil {
		return err
	}
	obj.Body, obj.Hash = body, Hash(body)
	if isDefinition(d.gvk) {
		obj.Defines = definedKind(d.content)
	}
	return nil
}

func place(obj *Object, meta map[string]any, o Options) {
	if !obj.Kind.Namespaced {
		if obj.Ref.Namespace != "" {
			obj.fail(fmt.Sprintf("%s is cluster-scoped, but has metadata.namespace %q", obj.Ref.Kind, obj.Ref.Namespace),
				"Remove metadata.namespace.")
		} else if Outside(o.Namespaces, obj.Ref) != "" {
			obj.fail(fmt.Sprintf("%s is cluster-scoped, but the applier is limited to namespaces", obj.Ref.Kind), limits(o))
		}
		return
	}
	if obj.Ref.Namespace == "" {
		obj.Ref.Namespace = o.Namespace
		meta["namespace"] = o.Namespace
	}
	if Outside(o.Namespaces, obj.Ref) != "" {
		obj.fail(fmt.Sprintf("namespace %q is outside the applier's limits", obj.Ref.Namespace), limits(o))
	}
}

// Outside says why an object is out of bounds that is neither in one of
// namespaces nor one of them itself, and returns "" for every other object. No
// namespaces are no limit.
func Outside(namespaces []string, ref applier.Ref) string {
	place := ref.Namespace
	if place == "" && ref.Group == "" && ref.Kind == "Namespace" {
		place = ref.Name
	}
	if len(namespaces) == 0 || slices.Contains(namespaces, place) {
		return ""
	}
	return "it is outside the applier's namespaces (" + strings.Join(namespaces, ", ") + "), so it is left alone"
}

func limits(o Options) string {
	return "The applier may write to: " + strings.Join(o.Namespaces, ", ") + "."
}

func isDefinition(gvk schema.GroupVersionKind) bool {
	return gvk.Group == "apiextensions.k8s.io" && gvk.Kind == "CustomResourceDefinition"
}

// definitions collects the kinds that the set's own CRDs define.
func definitions(drafts []draft) map[schema.GroupVersionKind]cluster.Kind {
	defined := map[schema.GroupVersionKind]cluster.Kind{}
	for _, d := range drafts {
		meta, _ := d.content["metadata"].(map[string]any)
		if !isDefinition(d.gvk) || d.Ignore != "" || ignoredInFile(meta, d.File, d.Line) != "" {
			continue
		}
		spec, _ := d.content["spec"].(map[string]any)
		names, _ := spec["names"].(map[string]any)
		versions, _ := spec["versions"].([]any)
		for _, v := range versions {
			version, _ := v.(map[string]any)
			if served, _ := version["served"].(bool); !served {
				continue
			}
			gvk := schema.GroupVersionKind{Group: text(spec, "group"), Version: text(version, "name"), Kind: text(names, "kind")}
			defined[gvk] = cluster.Kind{GroupVersionKind: gvk, Resource: text(names, "plural"), Namespaced: text(spec, "scope") == "Namespaced"}
		}
	}
	return defined
}

func definedKind(content map[string]any) *schema.GroupKind {
	spec, _ := content["spec"].(map[string]any)
	names, _ := spec["names"].(map[string]any)
	return &schema.GroupKind{Group: text(spec, "group"), Kind: text(names, "kind")}
}

func text(m map[string]any, key string) string {
	s, _ := m[key].(string)
	return s
}
