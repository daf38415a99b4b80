package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Served is how an API server serves one version of a kind.
type Served struct {
	Kind
	Status      bool // has a status subresource
	Terminating bool // its definition is being deleted
}

// Served asks how a kind is served, with one small request and without memory
// of earlier answers. It returns a *NotServedError if the kind is not served in
// that version; one that is only there until its last object has gone still is.
func (c *Client) Served(ctx context.Context, gvk schema.GroupVersionKind) (Served, error) {
	u := c.base.JoinPath("apis", gvk.Group, gvk.Version)
	if gvk.Group == "" {
		u = c.base.JoinPath("api", gvk.Version)
	}
	list := metav1.APIResourceList{}
	err := c.read(ctx, u, func(d *json.Decoder) error { return d.Decode(&list) })
	if apierrors.IsNotFound(err) {
		return Served{}, &NotServedError{GVK: gvk}
	} else if err != nil {
		return Served{}, fmt.Errorf("whether %s %s is served: %w", gvk.Kind, gvk.GroupVersion(), err)
	}
	return servedIn(list.APIResources, gvk)
}

func servedIn(all []metav1.APIResource, gvk schema.GroupVersionKind) (Served, error) {
	for _, r := range all {
		if r.Kind != gvk.Kind || strings.Contains(r.Name, "/") || !slices.Contains(r.Verbs, "watch") {
			continue
		}
		return Served{
			Kind:        Kind{gvk, r.Name, r.Namespaced},
			Status:      slices.ContainsFunc(all, func(s metav1.APIResource) bool { return s.Name == r.Name+"/status" }),
			Terminating: !slices.Contains(r.Verbs, "patch"),
		}, nil
	}
	return Served{}, &NotServedError{GVK: gvk}
}
