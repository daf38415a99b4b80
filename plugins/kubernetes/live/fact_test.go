package live

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func entry(manager string, op metav1.ManagedFieldsOperationType, sub, fields string, at time.Time) metav1.ManagedFieldsEntry {
	t := metav1.NewTime(at)
	return metav1.ManagedFieldsEntry{Manager: manager, Operation: op, Subresource: sub, APIVersion: "v1", Time: &t, FieldsV1: metav1.NewFieldsV1(fields)}
}

func TestOwnedHash(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const apply, update = metav1.ManagedFieldsOperationApply, metav1.ManagedFieldsOperationUpdate
	ours := entry("sluice", apply, "", `{"f:a":{}}`, now)
	base := OwnedHash([]metav1.ManagedFieldsEntry{ours}, "sluice")
	for name, tt := range map[string]struct {
		entries []metav1.ManagedFieldsEntry
		same    bool
	}{
		"others around it":    {[]metav1.ManagedFieldsEntry{entry("x", update, "", `{}`, now), ours, entry("kcm", update, "status", `{}`, now)}, true},
		"other time zone":     {[]metav1.ManagedFieldsEntry{entry("sluice", apply, "", `{"f:a":{}}`, now.In(time.FixedZone("x", 3600)))}, true},
		"a field less":        {[]metav1.ManagedFieldsEntry{entry("sluice", apply, "", `{}`, now)}, false},
		"applied in our name": {[]metav1.ManagedFieldsEntry{entry("sluice", apply, "", `{"f:a":{}}`, now.Add(time.Second))}, false},
		"only an update":      {[]metav1.ManagedFieldsEntry{entry("sluice", update, "", `{"f:a":{}}`, now)}, false},
		"only of a status":    {[]metav1.ManagedFieldsEntry{entry("sluice", apply, "status", `{"f:a":{}}`, now)}, false},
		"nothing":             {nil, false},
	} {
		if got := OwnedHash(tt.entries, "sluice") == base; got != tt.same {
			t.Errorf("%s: same hash: %t, want %t", name, got, tt.same)
		}
	}
}

func TestFromMeta(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	yes := true
	m := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		UID:             "u",
		Labels:          map[string]string{MemberLabel: "id"},
		Annotations:     map[string]string{"fluxcd.io/ignore": "true"},
		OwnerReferences: []metav1.OwnerReference{{Controller: &yes}},
		ManagedFields: []metav1.ManagedFieldsEntry{
			entry("kubectl-client-side-apply", metav1.ManagedFieldsOperationUpdate, "", `{}`, now),
			entry("kube-controller-manager", metav1.ManagedFieldsOperationUpdate, "status", `{}`, now.Add(time.Hour)),
			entry("sluice", metav1.ManagedFieldsOperationApply, "", `{}`, now.Add(time.Hour)),
		},
	}}
	f := FromMeta(m, "sluice")
	if f.UID != "u" || f.Member != "id" || f.Owned == "" || !f.Controlled || f.Deleting || f.Legacy != m ||
		f.Ignored != "annotation fluxcd.io/ignore=true on the live object" || f.Spared != f.Ignored || f.Writer != "kubectl-client-side-apply at 2026-01-02 03:04:05 UTC" {
		t.Errorf("%+v", f)
	}
}
