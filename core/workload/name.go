package workload

import (
	"fmt"
	"strings"

	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// ID is how people name a workload: namespace:kind/name.
func ID(ref applier.Ref) string {
	return ref.Namespace + ":" + strings.ToLower(ref.Kind) + "/" + ref.Name
}

// Qualify makes namespace:kind/name of what people write. namespace is for names
// without one; empty, it is "default". What is no name is refused.
func Qualify(name, namespace string) (string, error) {
	ns, rest, ok := strings.Cut(name, ":")
	if !ok {
		ns, rest = namespace, name
		if ns == "" {
			ns = "default"
		}
	}
	kind, object, ok := strings.Cut(rest, "/")
	if !ok || ns == "" || kind == "" || object == "" || strings.Contains(object, "/") {
		return "", refusal.Invalid("%q is no workload: write namespace:kind/name, such as shop:deployment/web, or kind/name with -n", name)
	}
	return fmt.Sprintf("%s:%s/%s", ns, LongKind(strings.ToLower(kind)), object), nil
}

// OnlyNamespace is the namespace that all ids are in, "" if there are several.
func OnlyNamespace(ids map[string]bool) string {
	only := ""
	for id := range ids {
		ns, _, _ := strings.Cut(id, ":")
		if only != "" && ns != only {
			return ""
		}
		only = ns
	}
	return only
}

// LongKind is the kind that a short name of kubectl's stands for, in lower case;
// any other is returned as it is.
func LongKind(kind string) string {
	if long, ok := shortKinds[kind]; ok {
		return long
	}
	return kind
}

// shortKinds are kubectl's short names of the kinds that people ask about.
var shortKinds = map[string]string{
	"cm": "configmap", "crd": "customresourcedefinition", "cj": "cronjob", "deploy": "deployment", "ds": "daemonset",
	"ep": "endpoints", "fhr": "fluxhelmrelease", "hpa": "horizontalpodautoscaler", "hr": "helmrelease", "hrs": "helmrelease", "ing": "ingress", "netpol": "networkpolicy", "ns": "namespace",
	"pdb": "poddisruptionbudget", "po": "pod", "pv": "persistentvolume", "pvc": "persistentvolumeclaim",
	"rs": "replicaset", "sa": "serviceaccount", "sc": "storageclass", "sts": "statefulset", "svc": "service",
}
