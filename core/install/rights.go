package install

// objects bind the account to its rights.
func (r Rights) objects(namespace string) []manifest {
	account := object{"kind": "ServiceAccount", "name": name, "namespace": namespace}
	if r.Cluster {
		return []manifest{binding("ClusterRoleBinding", "", name, "ClusterRole", "cluster-admin", account)}
	}
	var out []manifest
	for _, limit := range r.Namespaces {
		everything := object{"apiGroups": []string{"*"}, "resources": []string{"*"}, "verbs": []string{"*"}}
		out = append(out,
			declare(rbac, "Role", limit, name, object{"rules": []object{everything}}),
			binding("RoleBinding", limit, name, "Role", name, account))
	}
	if len(r.Namespaces) > 0 {
		// For the Namespace objects themselves, which may be in git, too.
		own := object{"apiGroups": []string{""}, "resources": []string{"namespaces"}, "resourceNames": r.Namespaces, "verbs": []string{"get", "patch"}}
		out = append(out,
			declare(rbac, "ClusterRole", "", ownNamespaces, object{"rules": []object{own}}),
			binding("ClusterRoleBinding", "", ownNamespaces, "ClusterRole", ownNamespaces, account))
	}
	return out
}

const (
	rbacGroup = "rbac.authorization.k8s.io"
	rbac      = rbacGroup + "/v1"
)

// ownNamespaces is a name of its own: what a binding binds cannot be changed
// when the limits of the configuration do.
const ownNamespaces = name + "-namespaces"

func binding(kind, namespace, called, roleKind, role string, account object) manifest {
	return declare(rbac, kind, namespace, called, object{
		"roleRef":  object{"apiGroup": rbacGroup, "kind": roleKind, "name": role},
		"subjects": []object{account},
	})
}
