package inventory

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
)

var (
	configMaps      = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	namespaceObject = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
)

// Store keeps the inventories of all owners in one namespace.
type Store struct {
	Client    dynamic.Interface
	Metadata  metadata.Interface // only for Owners
	Namespace string
	Manager   string // field manager
	Version   string // of this program
}

// Load reads the inventory of owner. One that does not exist is empty.
func (s Store) Load(ctx context.Context, owner string) (*Inventory, error) {
	inv := Of(owner, ID(owner, s.Namespace))
	list, err := s.list(ctx, ownerLabel+"="+inv.ID)
	if err != nil {
		return nil, fmt.Errorf("inventory of %s: %w", owner, err)
	}
	for n := range list.Items {
		u := &list.Items[n]
		if other := u.GetAnnotations()[ownerAnnotation]; other != "" && other != owner {
			return nil, fmt.Errorf("inventory of %s: ConfigMap %s/%s belongs to %q", owner, s.Namespace, u.GetName(), other)
		}
		inv.decode(u)
		inv.stored[u.GetName()] = shard{u.GetResourceVersion(), content(u)}
	}
	inv.count(list.Items)
	return inv, nil
}

// count notices shards that are missing.
func (i *Inventory) count(items []unstructured.Unstructured) {
	if len(items) == 0 {
		return
	}
	for n := range items {
		if items[n].GetName() != Name(i.Owner) {
			continue
		}
		told := items[n].GetAnnotations()
		i.Revision, i.Origin, i.Writer = told[revisionAnnotation], told[originAnnotation], told[writerAnnotation]
		_, i.Marks = split(items[n].GetAnnotations())
		want, err := strconv.Atoi(items[n].GetAnnotations()[shardsAnnotation])
		if err != nil || want > len(items) {
			i.damaged("%d of the ConfigMaps that ConfigMap %s speaks of are missing", max(1, want-len(items)), items[n].GetName())
		}
		return
	}
	i.damaged("ConfigMap %s is missing", Name(i.Owner))
}

func (s Store) list(ctx context.Context, selector string) (*unstructured.UnstructuredList, error) {
	return s.Client.Resource(configMaps).Namespace(s.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
}

// Save writes the shards that differ from what is stored, the highest first,
// so that no record is ever in none. It makes the namespace if there is none.
func (s Store) Save(ctx context.Context, inv *Inventory) error {
	shards := inv.encode(s.Namespace, s.Version)
	for n := len(shards) - 1; n >= 0; n-- {
		if err := s.write(ctx, inv, shards[n]); err != nil {
			return fmt.Errorf("inventory of %s: %w", inv.Owner, err)
		}
	}
	inv.Damage = nil
	return nil
}

func (s Store) write(ctx context.Context, inv *Inventory, u *unstructured.Unstructured) error {
	now := content(u)
	before, exists := inv.stored[u.GetName()]
	if exists && before.content == now {
		return nil
	}
	written, err := s.put(ctx, u, before.version, exists)
	if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
		stands, lost := s.Client.Resource(configMaps).Namespace(s.Namespace).Get(ctx, u.GetName(), metav1.GetOptions{})
		switch {
		case lost != nil:
		case content(stands) == now: // it was us, and only the answer was lost
			written, err = stands, nil
		case exists && content(stands) == before.content: // it was marked meanwhile
			inv.remark(u, stands)
			written, err = s.put(ctx, u, stands.GetResourceVersion(), true)
		}
	}
	if err != nil {
		return err
	}
	inv.stored[u.GetName()] = shard{written.GetResourceVersion(), now}
	return nil
}

func (s Store) put(ctx context.Context, u *unstructured.Unstructured, version string, exists bool) (*unstructured.Unstructured, error) {
	maps := s.Client.Resource(configMaps).Namespace(s.Namespace)
	if exists {
		u.SetResourceVersion(version)
		return maps.Update(ctx, u, metav1.UpdateOptions{FieldManager: s.Manager})
	}
	written, err := maps.Create(ctx, u, metav1.CreateOptions{FieldManager: s.Manager})
	if apierrors.IsNotFound(err) {
		if err := s.EnsureNamespace(ctx); err != nil {
			return nil, err
		}
		return maps.Create(ctx, u, metav1.CreateOptions{FieldManager: s.Manager})
	}
	return written, err
}

// EnsureNamespace makes the namespace of the store if it does not exist.
func (s Store) EnsureNamespace(ctx context.Context) error {
	ns := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
	ns.SetName(s.Namespace)
	_, err := s.Client.Resource(namespaceObject).Create(ctx, ns, metav1.CreateOptions{FieldManager: s.Manager})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("namespace %s does not exist and cannot be made; set inventory_namespace to one that exists: %w", s.Namespace, err)
	}
	return nil
}

// Remove deletes the ConfigMaps of an inventory that has no record left, the
// first shard last.
func (s Store) Remove(ctx context.Context, inv *Inventory) error {
	for n := inv.spread() - 1; n >= 0; n-- {
		name := shardName(inv.Owner, n)
		err := s.Client.Resource(configMaps).Namespace(s.Namespace).Delete(ctx, name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("inventory of %s: %w", inv.Owner, err)
		}
	}
	inv.stored = map[string]shard{}
	return nil
}

// OwnerOf returns the owner whose ApplySet has id, or "" if it is none of ours.
func (s Store) OwnerOf(ctx context.Context, id string) (string, error) {
	list, err := s.list(ctx, parentLabel+"="+id)
	if err != nil {
		return "", fmt.Errorf("owner of ApplySet %s: %w", id, err)
	}
	for n := range list.Items {
		if owner := list.Items[n].GetAnnotations()[ownerAnnotation]; owner != "" {
			return owner, nil
		}
	}
	return "", nil
}

// Owners returns the owner behind the id of each ApplySet of ours, from
// metadata alone.
func (s Store) Owners(ctx context.Context) (map[string]string, error) {
	const pageSize = 500
	owners := map[string]string{}
	o := metav1.ListOptions{LabelSelector: parentLabel, Limit: pageSize}
	for {
		page, err := s.Metadata.Resource(configMaps).Namespace(s.Namespace).List(ctx, o)
		if err != nil && apierrors.IsResourceExpired(err) && o.Continue != "" {
			o.Continue = "" // what was read stays true
			continue
		} else if err != nil {
			return nil, fmt.Errorf("owners of ApplySets: %w", err)
		}
		for i := range page.Items {
			if owner := page.Items[i].Annotations[ownerAnnotation]; owner != "" {
				owners[page.Items[i].Labels[parentLabel]] = owner
			}
		}
		if o.Continue = page.Continue; o.Continue == "" {
			return owners, nil
		}
	}
}

// content is everything of a shard that we write, as one comparable string.
func content(u *unstructured.Unstructured) string {
	own, _ := split(u.GetAnnotations())
	lines, _, _ := unstructured.NestedString(u.Object, "data", dataKey) // a data of another type differs from any we write
	all, _ := json.Marshal([]any{own, u.GetLabels(), checksum(lines)})
	return string(all)
}

func checksum(lines string) string {
	sum := sha256.Sum256([]byte(lines))
	return "sha256:" + base64.RawURLEncoding.EncodeToString(sum[:])
}
