package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

var secretObjects = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}

// ReadSecret implements applier.SecretStore.
func (t *target) ReadSecret(ctx context.Context, ref applier.SecretRef) (secret.Secret, error) {
	ref, err := t.own(ref)
	if err != nil {
		return secret.Secret{}, err
	}
	u, err := t.client.Dynamic.Resource(secretObjects).Namespace(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return secret.Secret{}, fmt.Errorf("secret %s/%s: %w", ref.Namespace, ref.Name, applier.ErrNoSecret)
	} else if err != nil {
		return secret.Secret{}, fmt.Errorf("secret %s/%s: %w", ref.Namespace, ref.Name, cluster.Grant(err, secretObjects.GroupResource(), ref.Namespace, "get"))
	}
	encoded, there, err := unstructured.NestedString(u.Object, "data", ref.Key)
	if err != nil || !there {
		return secret.Secret{}, fmt.Errorf("secret %s/%s has no key %q: %w", ref.Namespace, ref.Name, ref.Key, applier.ErrNoSecret)
	}
	value, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return secret.Secret{}, fmt.Errorf("secret %s/%s: key %q is not base64", ref.Namespace, ref.Name, ref.Key)
	}
	return secret.New(string(value)), nil
}

// WriteSecret implements applier.SecretStore.
func (t *target) WriteSecret(ctx context.Context, ref applier.SecretRef, value secret.Secret) error {
	ref, err := t.own(ref)
	if err != nil {
		return err
	}
	data := map[string]any{ref.Key: base64.StdEncoding.EncodeToString([]byte(value.Reveal()))}
	body, err := json.Marshal(map[string]any{"data": data})
	if err != nil {
		return fmt.Errorf("secret %s/%s: %w", ref.Namespace, ref.Name, err)
	}
	secrets := t.client.Dynamic.Resource(secretObjects).Namespace(ref.Namespace)
	_, err = secrets.Patch(ctx, ref.Name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: t.config.FieldManager})
	if apierrors.IsNotFound(err) {
		if err = t.makeSecret(ctx, ref, data); apierrors.IsAlreadyExists(err) { // somebody was quicker, or our first answer was lost
			_, err = secrets.Patch(ctx, ref.Name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: t.config.FieldManager})
		}
	}
	if err != nil {
		return fmt.Errorf("write secret %s/%s: %s", ref.Namespace, ref.Name, cluster.Explain(err, true))
	}
	return nil
}

func (t *target) makeSecret(ctx context.Context, ref applier.SecretRef, data map[string]any) error {
	if ref.Namespace == t.config.InventoryNamespace {
		if err := t.store.EnsureNamespace(ctx); err != nil {
			return err
		}
	}
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": data}}
	u.SetName(ref.Name)
	_, err := t.client.Dynamic.Resource(secretObjects).Namespace(ref.Namespace).
		Create(ctx, u, metav1.CreateOptions{FieldManager: t.config.FieldManager})
	return err
}

// own completes ref and keeps it within the applier's namespaces.
func (t *target) own(ref applier.SecretRef) (applier.SecretRef, error) {
	ref.Namespace = cmp.Or(ref.Namespace, t.config.InventoryNamespace)
	if len(t.config.Namespaces) > 0 && !slices.Contains(t.config.Namespaces, ref.Namespace) {
		return ref, fmt.Errorf("secret %s/%s: the applier is limited to the namespaces %v", ref.Namespace, ref.Name, t.config.Namespaces)
	}
	return ref, nil
}
