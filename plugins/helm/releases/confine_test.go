package releases

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// TestNamespaces: with a limit, what is within works, and what is not is
// refused by name before anything is touched.
func TestNamespaces(t *testing.T) {
	t.Parallel()
	m, ns, seen := counted(t, "own")
	ctx := t.Context()
	r := simple(t, ns, "one")
	if _, err := m.Upgrade(ctx, r, nil); err != nil {
		t.Fatal(err)
	}
	r.CreateNamespace = true
	if _, err := m.Upgrade(ctx, r, nil); err != nil {
		t.Fatal(err)
	}
	listed := 0
	if err := m.List(ctx, "", func(helm.ReleaseRef, helm.Revision) { listed++ }); err != nil || listed != 1 {
		t.Errorf("listed %d, %v", listed, err)
	}
	if err := m.Compare(ctx, helm.Comparison{Ref: r.Ref}, func(c helm.Change) { t.Errorf("found %+v", c) }); err != nil {
		t.Error(err)
	}

	outside := func(kind, where string) string {
		return "apiVersion: v1\nkind: " + kind + "\nmetadata: {name: far, " + where + "}\n"
	}
	hook := "annotations: {helm.sh/hook: pre-install}, namespace: kube-public"
	for name, tt := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"elsewhere": {map[string]string{"templates/cm.yaml": configMapTemplate, "templates/far.yaml": outside("ConfigMap", "namespace: kube-public")},
			[]string{"ConfigMap/far (web/templates/far.yaml) is in namespace kube-public"}},
		"hook": {map[string]string{"templates/cm.yaml": configMapTemplate, "templates/hook.yaml": outside("ConfigMap", hook)},
			[]string{"ConfigMap/far (web/templates/hook.yaml) is in namespace kube-public"}},
		"both": {map[string]string{"templates/far.yaml": outside("ConfigMap", "namespace: kube-public"),
			"templates/role.yaml": "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: far}\nrules: []\n"},
			[]string{"ConfigMap/far (web/templates/far.yaml)", "ClusterRole/far (web/templates/role.yaml) belongs to the whole cluster"}},
		"namespace":   {map[string]string{"templates/ns.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: far}\n"}, []string{"Namespace/far (web/templates/ns.yaml) is in namespace far"}},
		"definitions": {map[string]string{"crds/thing.yaml": crd(ns, "1"), "templates/cm.yaml": configMapTemplate}, []string{"web/crds/thing.yaml defines kinds", "skip the definitions"}},
		"lookup": {map[string]string{"templates/cm.yaml": `{{ (lookup "v1" "ConfigMap" "kube-public" "far").metadata.name }}`},
			[]string{"/api/v1/namespaces/kube-public/configmaps/far reaches beyond the attribute namespaces"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := r
			r.Ref.Name, r.Chart, r.CreateNamespace = name, chartOf(t, tt.files), false
			seen.take()
			_, err := m.Upgrade(ctx, r, nil)
			_, planned := m.Plan(ctx, r, func(helm.Change) {})
			for _, want := range tt.want {
				if err == nil || !strings.Contains(err.Error(), want) || planned == nil || !strings.Contains(planned.Error(), want) {
					t.Errorf("Upgrade: %v\nPlan: %v\nwant %q", err, planned, want)
				}
			}
			paths, _ := seen.take()
			for _, path := range paths {
				if !strings.Contains(path, " GET ") {
					t.Errorf("it has sent %s", path)
				}
			}
			if rev, err := m.Status(ctx, r.Ref); err != nil || rev.Number != 0 {
				t.Errorf("it is recorded: %+v, %v", rev, err)
			}
		})
	}
	far := helm.ReleaseRef{Namespace: "kube-public", Name: "far"}
	for what, err := range map[string]error{
		"Uninstall": m.Uninstall(ctx, helm.Uninstall{Ref: far}, nil),
		"List":      m.List(ctx, far.Namespace, func(helm.ReleaseRef, helm.Revision) {}),
		"History":   m.History(ctx, far, func(helm.Revision) {}),
	} {
		if !sdk.IsPermanent(err) || !strings.Contains(err.Error(), ns) {
			t.Errorf("%s elsewhere: %v", what, err)
		}
	}
}

// TestNamespacesOfOthers: what an unlimited one has spread is not taken apart
// half.
func TestNamespacesOfOthers(t *testing.T) {
	t.Parallel()
	m, ns, _ := counted(t, "own")
	free, other := real(t)
	r := simple(t, ns, "one")
	r.Chart = chartOf(t, map[string]string{"templates/cm.yaml": configMapTemplate, "templates/far.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: far, namespace: " + other + "}\n"})
	if _, err := free.Upgrade(t.Context(), r, nil); err != nil {
		t.Fatal(err)
	}
	near := simple(t, ns, "two")
	if _, err := m.Upgrade(t.Context(), near, nil); err == nil || !strings.Contains(err.Error(), "ConfigMap/far") {
		t.Errorf("Upgrade: %v", err)
	}
	if err := m.Uninstall(t.Context(), helm.Uninstall{Ref: r.Ref}, nil); err == nil || !strings.Contains(err.Error(), "ConfigMap/far") {
		t.Errorf("Uninstall: %v", err)
	}
	var cm *corev1.ConfigMap
	cm, err := free.api(t).CoreV1().ConfigMaps(ns).Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil || cm.Data["greeting"] != "one" {
		t.Errorf("there is %v, %v", cm, err)
	}
	if rev, err := free.Status(t.Context(), r.Ref); err != nil || rev.Number != 1 || rev.Status != "deployed" {
		t.Errorf("Status = %+v, %v", rev, err)
	}
}
