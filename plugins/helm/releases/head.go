package releases

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-gitops/sluice/sdk/helm"
)

// Labels of a record, beside Helm's own. Helm copies them to the next revision
// whoever makes it, so that revisionLabel tells whether they are about this one.
const (
	ownerLabel    = "sluice.dev/owner"
	digestLabel   = "sluice.dev/digest"
	revisionLabel = "sluice.dev/revision"
)

// head is what the labels of a record tell.
type head struct {
	ref    helm.ReleaseRef
	record string    // name
	uid    types.UID // of the record
	helm.Revision
}

// heads of the newest revisions of all releases of namespaces.
func (s *session) heads(ctx context.Context, namespaces []string) (map[helm.ReleaseRef]head, error) {
	newest := map[helm.ReleaseRef]head{}
	for _, namespace := range namespaces {
		// A superseded revision is never the newest one.
		err := s.list(ctx, namespace, "owner=helm,status!=superseded", func(h head) {
			if h.Number > newest[h.ref].Number {
				newest[h.ref] = h
			}
		})
		if err != nil {
			return nil, fmt.Errorf("list releases: %w", err)
		}
	}
	return newest, nil
}

// list calls each for every record of a namespace, all if it is empty, that
// the selector takes. It reads labels only, not the releases.
func (s *session) list(ctx context.Context, namespace, selector string, each func(head)) error {
	resource := schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	if s.storage == ConfigMaps {
		resource.Resource = "configmaps"
	}
	return pages(ctx, s.metadata.Resource(resource).Namespace(namespace), selector, func(o *metav1.ObjectMeta) error {
		if h, ok := headOf(o); ok {
			each(h)
		}
		return nil
	})
}

func headOf(o *metav1.ObjectMeta) (head, bool) {
	number, err := strconv.Atoi(o.Labels["version"])
	if err != nil || o.Labels["name"] == "" {
		return head{}, false
	}
	updated := o.CreationTimestamp.Time
	if seconds, err := strconv.ParseInt(o.Labels["modifiedAt"], 10, 64); err == nil {
		updated = time.Unix(seconds, 0)
	}
	return head{
		ref:    helm.ReleaseRef{Namespace: o.Namespace, Name: o.Labels["name"]},
		record: o.Name, uid: o.UID,
		Revision: helm.Revision{
			Number: number, Status: o.Labels["status"], Updated: updated.UTC(),
			Owner: o.Labels[ownerLabel], Digest: digestOf(o.Labels, number),
		},
	}, true
}

// digestOf is what a revision was declared from, if its labels are about it.
func digestOf(labels map[string]string, number int) string {
	if labels[revisionLabel] != strconv.Itoa(number) {
		return ""
	}
	return labels[digestLabel]
}

// revisions are the heads of all revisions of a release, newest first.
func (s *session) revisions(ctx context.Context, ref helm.ReleaseRef) ([]head, error) {
	if err := check(ref); err != nil {
		return nil, err
	}
	var all []head
	if err := s.list(ctx, ref.Namespace, labels.Set{"owner": "helm", "name": ref.Name}.String(), func(h head) { all = append(all, h) }); err != nil {
		return nil, fmt.Errorf("release %s/%s: %w", ref.Namespace, ref.Name, err)
	}
	slices.SortFunc(all, func(a, b head) int { return b.Number - a.Number })
	return all, nil
}

// List implements helm.Lister.
func (m *Manager) List(ctx context.Context, namespace string, emit func(helm.ReleaseRef, helm.Revision)) error {
	s, err := m.session()
	if err != nil {
		return err
	}
	var newest map[helm.ReleaseRef]head
	if namespace == "" { // and comparisons need not ask again
		newest, err = s.newest.get(ctx, time.Now(), func(ctx context.Context) (map[helm.ReleaseRef]head, error) { return s.heads(ctx, s.namespaces()) })
	} else {
		newest, err = s.heads(ctx, []string{namespace})
	}
	if err != nil {
		return err
	}
	order := func(a, b helm.ReleaseRef) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	}
	for _, ref := range slices.SortedFunc(maps.Keys(newest), order) {
		emit(ref, newest[ref].Revision)
	}
	return nil
}
