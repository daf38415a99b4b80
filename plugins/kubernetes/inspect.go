package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// sameNames is in how many kinds of one name an object is looked for.
const sameNames = 4

// Inspect implements applier.Inspector.
func (t *target) Inspect(ctx context.Context, q applier.Inquiry) (applier.Inspected, error) {
	q.Namespace = cmp.Or(q.Namespace, t.config.DefaultNamespace)
	kinds, err := t.client.Kinds.Named(ctx, q.Kind, q.Group)
	if err == nil && len(kinds) == 0 { // it may be new
		if err = t.client.Kinds.Refresh(ctx); err == nil {
			kinds, err = t.client.Kinds.Named(ctx, q.Kind, q.Group)
		}
	}
	switch {
	case err != nil:
		return applier.Inspected{}, err
	case len(kinds) == 0:
		return applier.Inspected{}, fmt.Errorf("the cluster serves no kind %q: %w", q.Kind, applier.ErrNoResource)
	case len(kinds) > sameNames:
		return applier.Inspected{}, fmt.Errorf("%d kinds are called %s: name the API group as well, as in %s.%s", len(kinds), q.Kind, kinds[0].Resource, kinds[0].Group)
	}
	for _, kind := range kinds {
		found, err := t.inspect(ctx, kind, q)
		if !errors.Is(err, applier.ErrNoResource) {
			return found, err
		}
	}
	return applier.Inspected{}, fmt.Errorf("%s %s/%s: %w", strings.ToLower(kinds[0].Kind), q.Namespace, q.Name, applier.ErrNoResource)
}

// inspect reads one object of a kind.
func (t *target) inspect(ctx context.Context, kind cluster.Kind, q applier.Inquiry) (applier.Inspected, error) {
	ref := applier.Ref{Group: kind.Group, Version: kind.Version, Kind: kind.Kind, Name: q.Name}
	if kind.Namespaced {
		ref.Namespace = q.Namespace
	}
	if only := t.config.Namespaces; len(only) > 0 && !slices.Contains(only, ref.Namespace) {
		return applier.Inspected{}, fmt.Errorf("%s: the applier is limited to the namespaces %v", ref, only)
	}
	var object struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
	}
	err := t.client.Object(ctx, kind.GVR(), ref.Namespace, ref.Name, &object)
	switch {
	case apierrors.IsNotFound(err):
		return applier.Inspected{}, fmt.Errorf("%s: %w", ref, applier.ErrNoResource)
	case err != nil:
		return applier.Inspected{}, fmt.Errorf("%s: %w", ref, cluster.Grant(err, kind.GVR().GroupResource(), ref.Namespace, "get"))
	}
	found := applier.Inspected{Ref: ref, Annotations: map[string]string{}}
	for _, name := range q.Annotations {
		if value, ok := object.Metadata.Annotations[name]; ok {
			found.Annotations[name] = value
		}
	}
	return found, nil
}
