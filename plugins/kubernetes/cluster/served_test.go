package cluster

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestServedIn(t *testing.T) {
	all := []metav1.APIResource{
		{Name: "boats", Kind: "Boat", Namespaced: true, Verbs: metav1.Verbs{"get", "list", "watch", "patch"}},
		{Name: "boats/status", Kind: "Boat", Namespaced: true, Verbs: metav1.Verbs{"get", "patch"}},
		{Name: "rafts", Kind: "Raft", Verbs: metav1.Verbs{"get", "list", "watch", "delete"}},
		{Name: "reviews", Kind: "Review", Verbs: metav1.Verbs{"create"}},
	}
	for kind, want := range map[string]string{
		"Boat": "boats namespaced=true status=true terminating=false", "Raft": "rafts namespaced=false status=false terminating=true",
		"Review": "", "Ship": "",
	} {
		s, err := servedIn(all, schema.GroupVersionKind{Group: "g", Version: "v1", Kind: kind})
		got := fmt.Sprintf("%s namespaced=%t status=%t terminating=%t", s.Resource, s.Namespaced, s.Status, s.Terminating)
		if _, missing := errors.AsType[*NotServedError](err); missing != (want == "") || err == nil && got != want {
			t.Errorf("%s: %s, %v; want %q", kind, got, err, want)
		}
	}
}

func TestGrant(t *testing.T) {
	boats := schema.GroupResource{Group: "g", Resource: "boats"}
	denied := apierrors.NewForbidden(boats, "x", errors.New(`User "me" cannot patch resource "boats" in API group "g" in the namespace "shop"`))
	for namespace, want := range map[string]string{
		"shop": `; grant it with a Role and RoleBinding in namespace "shop", or a ClusterRole, with apiGroups: [g], resources: [boats], verbs: [get, patch]`,
		"":     `; grant it with a ClusterRole and ClusterRoleBinding with apiGroups: [g], resources: [boats], verbs: [get, patch]`,
	} {
		err := Grant(denied, boats, namespace, "get", "patch")
		if !strings.HasSuffix(err.Error(), want) || !apierrors.IsForbidden(err) {
			t.Errorf("%v, want it to end with %s", err, want)
		}
	}
	for _, err := range []error{nil, errors.New("x"), apierrors.NewForbidden(boats, "x", errors.New("namespace shop is being terminated"))} {
		if got := Grant(err, boats, "", "get"); got != err { //nolint:errorlint // the very same
			t.Errorf("%v became %v", err, got)
		}
	}
}
