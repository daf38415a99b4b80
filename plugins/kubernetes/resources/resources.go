// Package resources shows the host the custom resources that it acts upon, and
// writes back what became of them: status, finalizers, events.
//
// A followed kind costs one watch for each namespace, or one for all, and no
// further request while nothing changes. What makes a kind come and go, its
// CustomResourceDefinition, is watched only while the kind is not served.
package resources

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/hashicorp/go-hclog"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// Options of a Keeper.
type Options struct {
	Client *cluster.Client
	// Namespaces are the only ones that may be read; empty: all. With a limit
	// no CustomResourceDefinition is read, since those are in none.
	Namespaces []string
	// Default is the namespace of a configuration without one.
	Default string
	Manager string       // field manager of the changes
	Log     hclog.Logger // may be nil
}

// Keeper implements applier.ResourceKeeper for one cluster. It is safe for
// concurrent use, and holds nothing to close.
type Keeper struct {
	Options
	seen  *memory
	tales *tales

	mu     sync.Mutex
	served map[schema.GroupVersionKind]cluster.Served
}

// New returns a Keeper. It sends no request.
func New(o Options) *Keeper {
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	return &Keeper{Options: o, seen: newMemory(), tales: newTales(), served: map[schema.GroupVersionKind]cluster.Served{}}
}

// kind returns how a kind is served, from memory if that has it.
func (k *Keeper) kind(ctx context.Context, gvk schema.GroupVersionKind) (cluster.Served, error) {
	k.mu.Lock()
	s, known := k.served[gvk]
	k.mu.Unlock()
	if known {
		return s, nil
	}
	return k.askKind(ctx, gvk)
}

// askKind asks the API server how a kind is served.
func (k *Keeper) askKind(ctx context.Context, gvk schema.GroupVersionKind) (cluster.Served, error) {
	s, err := k.Client.Served(ctx, gvk)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		delete(k.served, gvk)
		return s, err
	}
	k.served[gvk] = s
	return s, nil
}

// scopes are the namespaces to look at; "" is all of them.
func (k *Keeper) scopes(wanted []string) []string {
	switch {
	case len(k.Namespaces) == 0 && len(wanted) == 0:
		return []string{""}
	case len(k.Namespaces) == 0:
		return distinct(wanted)
	case len(wanted) == 0:
		return distinct(k.Namespaces)
	}
	return slices.DeleteFunc(distinct(wanted), func(ns string) bool { return !slices.Contains(k.Namespaces, ns) })
}

func distinct(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }

// allowed refuses what is outside the applier's namespaces.
func (k *Keeper) allowed(what, namespace string) error {
	if len(k.Namespaces) > 0 && !slices.Contains(k.Namespaces, namespace) {
		return fmt.Errorf("%s: the applier is limited to the namespaces %v", what, k.Namespaces)
	}
	return nil
}

func kindOf(ref applier.Ref) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: ref.Group, Version: ref.Version, Kind: ref.Kind}
}

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

// ReadConfig implements applier.ResourceKeeper.
func (k *Keeper) ReadConfig(ctx context.Context, ref applier.ConfigRef) (string, error) {
	ref.Namespace = cmp.Or(ref.Namespace, k.Default)
	name := fmt.Sprintf("ConfigMap %s/%s", ref.Namespace, ref.Name)
	if err := k.allowed(name, ref.Namespace); err != nil {
		return "", err
	}
	var found struct {
		Data       map[string]string `json:"data"`
		BinaryData map[string]string `json:"binaryData"`
	}
	err := k.Client.Object(ctx, configMaps, ref.Namespace, ref.Name, &found)
	switch {
	case apierrors.IsNotFound(err):
		return "", fmt.Errorf("%s: %w", name, applier.ErrNoConfig)
	case err != nil:
		return "", fmt.Errorf("%s: %w", name, cluster.Grant(err, configMaps.GroupResource(), ref.Namespace, "get"))
	}
	value, there := found.Data[ref.Key]
	if _, binary := found.BinaryData[ref.Key]; binary {
		return "", fmt.Errorf("%s: the key %q is binary, and only text is read", name, ref.Key)
	} else if !there {
		return "", fmt.Errorf("%s has no key %q: %w", name, ref.Key, applier.ErrNoConfig)
	}
	return value, nil
}

// notServed tells a kind that is not served from every other error.
func notServed(err error) bool {
	_, missing := errors.AsType[*cluster.NotServedError](err)
	return missing
}
