// Package live reads the few facts about objects in the cluster that a plan
// needs, from metadata alone: one paged list for each kind that the owner has,
// and a look at each object that is new to it. It only reads.
package live

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/desired"
)

// MemberLabel marks an object as a member of an ApplySet (KEP-3659); its value
// is the ApplySet's id.
const MemberLabel = "applyset.kubernetes.io/part-of"

// Fact is what a plan knows of an object in the cluster.
type Fact struct {
	UID        string
	Member     string // id of the ApplySet it belongs to; empty: none
	Owned      string // hash of our managedFields entry; empty: we have none
	Ignored    string // why it is left alone, neither applied nor pruned; empty: it is not
	Spared     string // why it is never pruned, applied or not; empty: it may be
	Deleting   bool
	Controlled bool                          // has a controlling owner in the cluster
	Legacy     *metav1.PartialObjectMetadata // set if kubectl's client-side apply owns fields of it
	Writer     string                        // the newest other writer of its fields, for a person
}

// FromMeta reads the facts about one object. manager is our field manager.
func FromMeta(m *metav1.PartialObjectMetadata, manager string) Fact {
	f := Fact{
		UID:        string(m.GetUID()),
		Member:     m.GetLabels()[MemberLabel],
		Owned:      OwnedHash(m.GetManagedFields(), manager),
		Deleting:   m.GetDeletionTimestamp() != nil,
		Controlled: metav1.GetControllerOfNoCopy(m) != nil,
	}
	if a, alone := desired.IgnoreAnnotation(m.GetAnnotations()); a != "" {
		f.Spared = "annotation " + a + " on the live object"
		if alone {
			f.Ignored = f.Spared
		}
	}
	if slices.ContainsFunc(m.GetManagedFields(), legacy) {
		f.Legacy = m
	}
	f.Writer = writer(m.GetManagedFields(), manager)
	return f
}

// OwnedHash hashes our Apply entry in managedFields. The API server takes a
// field out of it when somebody else changes or removes that field, so the
// hash changes exactly when what we applied is no longer what stands there.
// The entry's time is part of it: someone who applies in our name moves it.
func OwnedHash(entries []metav1.ManagedFieldsEntry, manager string) string {
	for _, e := range entries {
		if e.Manager != manager || e.Operation != metav1.ManagedFieldsOperationApply || e.Subresource != "" {
			continue
		}
		h := sha256.New()
		fmt.Fprintln(h, e.APIVersion)
		if e.Time != nil {
			fmt.Fprintln(h, e.Time.UTC().Format(time.RFC3339))
		}
		if e.FieldsV1 != nil {
			h.Write(e.FieldsV1.GetRawBytes())
		}
		return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:18])
	}
	return ""
}

// LegacyManagers are the field managers of kubectl's client-side apply, whose
// fields we take over, so that a field that leaves the manifest leaves the
// cluster too.
var LegacyManagers = []string{"kubectl-client-side-apply", "before-first-apply", "kubectl"}

func legacy(e metav1.ManagedFieldsEntry) bool {
	return e.Operation == metav1.ManagedFieldsOperationUpdate && e.Subresource == "" && slices.Contains(LegacyManagers, e.Manager)
}

// writer names who wrote last, leaving out us and those who write status.
func writer(entries []metav1.ManagedFieldsEntry, manager string) string {
	var newest *metav1.ManagedFieldsEntry
	for i, e := range entries {
		if e.Manager == manager && e.Operation == metav1.ManagedFieldsOperationApply || e.Subresource == "status" || e.Time == nil {
			continue
		}
		if newest == nil || newest.Time.Before(e.Time) {
			newest = &entries[i]
		}
	}
	if newest == nil {
		return ""
	}
	return newest.Manager + " at " + newest.Time.UTC().Format("2006-01-02 15:04:05 MST")
}
