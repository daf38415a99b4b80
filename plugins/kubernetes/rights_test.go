package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

const readerRights = `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: NS}
rules:
- {apiGroups: [apps], resources: [deployments, statefulsets], verbs: [list]}
- {apiGroups: [""], resources: [serviceaccounts], verbs: [get, list]}
- {apiGroups: [""], resources: [configmaps], verbs: [list]}
- {apiGroups: [""], resources: [secrets], resourceNames: [allowed], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: NS}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: User, name: reader-NS}]
`

// readerOf returns a kubeconfig of a user who may read little, and only in ns.
func readerOf(t *testing.T, admin *target, ns string) string {
	t.Helper()
	applyOf(t, admin, setOf(t, "rights", ns, readerRights))
	original, err := os.ReadFile(os.Getenv(kubeconfigVariable))
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, impersonating(t, original, "reader-"+ns), 0o600); err != nil {
		t.Fatal(err)
	}
	reader := realTarget(t, Config{Kubeconfig: kubeconfig, Namespaces: []string{ns}})
	eventually(t, "the rights to come into force", func() (bool, string) {
		err := reader.Workloads(t.Context(), applier.WorkloadFilter{}, func(applier.Workload) {})
		return err == nil, fmt.Sprint(err)
	})
	return kubeconfig
}

// TestWorkloadsOfAReader: a Role in a namespace is enough for what it allows.
func TestWorkloadsOfAReader(t *testing.T) {
	t.Parallel()
	admin := realTarget(t, Config{})
	ns := namespaceFor(t)
	applyOf(t, admin, setOf(t, "shop", ns, everyKind))
	kubeconfig := readerOf(t, admin, ns)

	limited := realTarget(t, Config{Kubeconfig: kubeconfig, Namespaces: []string{ns}})
	list := workloadsOf(t, limited, applier.WorkloadFilter{})
	if diff := cmp.Diff([]string{ns + ":Deployment.apps/web", ns + ":StatefulSet.apps/db"}, refsOf(list)); diff != "" {
		t.Fatalf("within the namespace (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"of-the-pod", "shared", "of-the-account"}, list[0].PullSecrets); diff != "" {
		t.Errorf("pull secrets (-want +got):\n%s", diff)
	}
	everywhere := realTarget(t, Config{Kubeconfig: kubeconfig})
	err := everywhere.Workloads(t.Context(), applier.WorkloadFilter{}, func(w applier.Workload) { t.Errorf("emitted %s", w.Ref) })
	for _, part := range []string{"may list none", "set namespaces", "forbidden", "reader-" + ns} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("everywhere: %v, want an error with %q", err, part)
		}
	}
}

// TestPullSecretsOfAReader: rights to one secret by its name are enough to use
// it, and another one in the same list is named.
func TestPullSecretsOfAReader(t *testing.T) {
	t.Parallel()
	admin := realTarget(t, Config{})
	ns := makeNamespace(t, admin)
	pullSecret(t, admin, ns, "allowed", "allowed", registryHost)
	pullSecret(t, admin, ns, "hidden", "hidden", registryHost)
	k, log := keychainOn(t, readerOf(t, admin, ns))
	consumer := registry.Consumer{Namespace: ns, ServiceAccount: "none", PullSecrets: []string{"hidden", "allowed"}}
	if got := userOf(t, k, registryHost, "app", consumer); got != "allowed" {
		t.Errorf("pulls as %s, want allowed", got)
	}
	if want := "pull secret " + ns + "/hidden: "; !strings.Contains(log.String(), want) || !strings.Contains(log.String(), "cannot get resource") {
		t.Errorf("the log does not say %q, nor why:\n%s", want, log)
	}
	consumer.PullSecrets = []string{"hidden"}
	if got := userOf(t, k, registryHost, "app", consumer); !strings.HasPrefix(got, "error: ") || !strings.Contains(got, "forbidden") {
		t.Errorf("without the other: %s, want an error", got)
	}
}
