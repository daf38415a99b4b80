package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
)

// Kind is one kind as the cluster serves it.
type Kind struct {
	schema.GroupVersionKind
	Resource   string // plural, as in URLs
	Namespaced bool
}

// GVR names the resource for a client.
func (k Kind) GVR() schema.GroupVersionResource { return k.GroupVersion().WithResource(k.Resource) }

// Kinds knows what the API server serves. It asks on first use and on Refresh.
// It is safe for concurrent use; callers wait for the one that asks.
type Kinds struct {
	fetch Fetch

	mu     sync.Mutex
	loaded bool
	served map[schema.GroupKind]map[string]Kind // by version
	dead   map[string]error                     // groups whose server does not answer
}

// Fetch asks what is served. dead are the API groups whose server does not
// answer, with the reason.
type Fetch func(context.Context) (kinds []Kind, dead map[string]error, err error)

// NewKinds returns Kinds that ask by fetch.
func NewKinds(fetch Fetch) *Kinds { return &Kinds{fetch: fetch} }

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
func (k *Kinds) Find(ctx context.Context, gvk schema.GroupVersionKind) (Kind, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.load(ctx); err != nil {
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
func (k *Kinds) Any(ctx context.Context, gvk schema.GroupVersionKind) (Kind, error) {
	kind, err := k.Find(ctx, gvk)
	if missing, ok := errors.AsType[*NotServedError](err); ok && len(missing.Versions) > 0 {
		gvk.Version = missing.Versions[0]
		return k.Find(ctx, gvk)
	}
	return kind, err
}

// Named returns the kinds that people call so, by singular or plural in any case,
// each in its newest version. group is the beginning of their API groups; those
// with the fewest dots, which are of Kubernetes itself, come first.
func (k *Kinds) Named(ctx context.Context, word, group string) ([]Kind, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.load(ctx); err != nil {
		return nil, err
	}
	var list []Kind
	for gk, versions := range k.served {
		kind := versions[sortedVersions(versions)[0]]
		if strings.HasPrefix(gk.Group, group) && (strings.EqualFold(gk.Kind, word) || strings.EqualFold(kind.Resource, word)) {
			list = append(list, kind)
		}
	}
	slices.SortFunc(list, func(a, b Kind) int {
		return cmp.Or(strings.Count(a.Group, ".")-strings.Count(b.Group, "."), strings.Compare(a.Group, b.Group))
	})
	return list, nil
}

// Refresh asks the API server again.
func (k *Kinds) Refresh(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.loaded = false
	return k.load(ctx)
}

// Forget makes the next question ask the API server again.
func (k *Kinds) Forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.loaded = false
}

func (k *Kinds) load(ctx context.Context) error {
	if k.loaded {
		return nil
	}
	kinds, dead, err := k.fetch(ctx)
	if err != nil {
		return err
	}
	k.served, k.dead, k.loaded = index(kinds), dead, true
	return nil
}

func index(kinds []Kind) map[schema.GroupKind]map[string]Kind {
	served := map[schema.GroupKind]map[string]Kind{}
	for _, kind := range kinds {
		if served[kind.GroupKind()] == nil {
			served[kind.GroupKind()] = map[string]Kind{}
		}
		served[kind.GroupKind()][kind.Version] = kind
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
