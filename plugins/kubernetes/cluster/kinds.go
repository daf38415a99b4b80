package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/discovery"
)

// Kind is one kind as the cluster serves it.
type Kind struct {
	schema.GroupVersionKind
	Resource   string // plural, as in URLs
	Namespaced bool
}

// GVR names the resource for a client.
func (k Kind) GVR() schema.GroupVersionResource { return k.GroupVersion().WithResource(k.Resource) }

// Kinds knows what the API server serves. It asks on first use and on Refresh;
// it is safe for concurrent use.
type Kinds struct {
	fetch func() ([]*metav1.APIGroup, []*metav1.APIResourceList, error)

	mu     sync.Mutex
	loaded bool
	served map[schema.GroupKind]map[string]Kind // by version
	dead   map[string]error                     // groups whose server does not answer
}

// NotServedError says that a kind is not to be had, and what is instead.
type NotServedError struct {
	GVK      schema.GroupVersionKind
	Versions []string // in which the same kind is served, newest first
	Groups   []string // which serve a kind of the same name
	Cause    error    // why the group does not answer, if that is the reason
}

func (e *NotServedError) Error() string {
	name := e.GVK.Kind + " " + e.GVK.GroupVersion().String()
	switch {
	case e.Cause != nil:
		return fmt.Sprintf("%s: the API group %s does not answer: %v", name, e.GVK.Group, e.Cause)
	case len(e.Versions) > 0:
		return fmt.Sprintf("%s is not served; the cluster serves %s", name, strings.Join(groupVersions(e.GVK.Group, e.Versions), ", "))
	case len(e.Groups) > 0:
		return fmt.Sprintf("%s is not served; the cluster serves %s in %s", name, e.GVK.Kind, strings.Join(e.Groups, ", "))
	}
	return fmt.Sprintf("no CRD installed for %s", name)
}

// Find returns the kind, or a *NotServedError.
func (k *Kinds) Find(gvk schema.GroupVersionKind) (Kind, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.load(); err != nil {
		return Kind{}, err
	}
	versions := k.served[gvk.GroupKind()]
	if kind, ok := versions[gvk.Version]; ok {
		return kind, nil
	}
	missing := &NotServedError{GVK: gvk, Versions: sortedVersions(versions)}
	if len(versions) == 0 {
		missing.Cause, missing.Groups = k.dead[gvk.Group], k.homonyms(gvk.Kind)
	}
	return Kind{}, missing
}

// Any returns the kind in the version given, else in the newest one served.
func (k *Kinds) Any(gvk schema.GroupVersionKind) (Kind, error) {
	kind, err := k.Find(gvk)
	if missing, ok := errors.AsType[*NotServedError](err); ok && len(missing.Versions) > 0 {
		gvk.Version = missing.Versions[0]
		return k.Find(gvk)
	}
	return kind, err
}

// Refresh asks the API server again.
func (k *Kinds) Refresh() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.loaded = false
	return k.load()
}

func (k *Kinds) load() error {
	if k.loaded {
		return nil
	}
	_, lists, err := k.fetch()
	dead := map[string]error{}
	if partial, ok := errors.AsType[*discovery.ErrGroupDiscoveryFailed](err); ok {
		for gv, cause := range partial.Groups {
			dead[gv.Group] = cause
		}
	} else if err != nil {
		return fmt.Errorf("which kinds the cluster serves: %w", err)
	}
	k.served, k.dead, k.loaded = index(lists), dead, true
	return nil
}

func index(lists []*metav1.APIResourceList) map[schema.GroupKind]map[string]Kind {
	served := map[schema.GroupKind]map[string]Kind{}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			continue // a group that cannot be named cannot be asked for
		}
		for _, r := range list.APIResources {
			if strings.Contains(r.Name, "/") || !slices.Contains(r.Verbs, "patch") {
				continue
			}
			gvk := gv.WithKind(r.Kind)
			if served[gvk.GroupKind()] == nil {
				served[gvk.GroupKind()] = map[string]Kind{}
			}
			served[gvk.GroupKind()][gv.Version] = Kind{gvk, r.Name, r.Namespaced}
		}
	}
	return served
}

// homonyms returns group/version of every kind of that name.
func (k *Kinds) homonyms(kind string) []string {
	var out []string
	for gk, versions := range k.served {
		if gk.Kind == kind {
			out = append(out, groupVersions(gk.Group, sortedVersions(versions)[:1])...)
		}
	}
	slices.Sort(out)
	return out
}

func sortedVersions(m map[string]Kind) []string {
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(-version.CompareKubeAwareVersionStrings(a, b), strings.Compare(a, b))
	})
}

func groupVersions(group string, versions []string) []string {
	out := make([]string, len(versions))
	for i, v := range versions {
		out[i] = schema.GroupVersion{Group: group, Version: v}.String()
	}
	return out
}
