package cluster

import (
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Grant adds to a refusal of the API server for want of rights (RBAC) what
// would have to be granted: verbs on a resource, which may be a subresource as
// in "helmreleases/status", in a namespace or, if that is empty, everywhere.
// Other errors are returned as they are, and so is nil.
func Grant(err error, resource schema.GroupResource, namespace string, verbs ...string) error {
	if !Unauthorised(err) {
		return err
	}
	role := "a ClusterRole and ClusterRoleBinding"
	if namespace != "" {
		role = fmt.Sprintf("a Role and RoleBinding in namespace %q, or a ClusterRole,", namespace)
	}
	group := resource.Group
	if group == "" {
		group = `""`
	}
	return fmt.Errorf("%w; grant it with %s with apiGroups: [%s], resources: [%s], verbs: [%s]", err, role, group, resource.Resource, strings.Join(verbs, ", "))
}

// Unauthorised tells a refusal for want of rights from one by admission, or
// because a namespace is being deleted.
func Unauthorised(err error) bool {
	return apierrors.IsForbidden(err) && says(err, `" cannot `)
}
