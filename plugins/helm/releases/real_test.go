package releases

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/sluice-gitops/sluice/plugins/helm/cluster"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// kubeconfigVariable names the kubeconfig of a real cluster that these tests
// may fill and empty.
const kubeconfigVariable = "SLUICE_TEST_KUBECONFIG"

// real is a Manager on the test cluster with a namespace of the test's own.
func real(t *testing.T) (*Manager, string) {
	t.Helper()
	kubeconfig := os.Getenv(kubeconfigVariable)
	if kubeconfig == "" {
		t.Skipf("%s names no kubeconfig; `make test` starts a cluster and sets it", kubeconfigVariable)
	}
	c, err := cluster.Connect(cluster.Options{Kubeconfig: kubeconfig, UserAgent: "sluice-plugin-helm/test-" + t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	m, err := New(c, Secrets)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("h%d-%d", os.Getpid(), time.Now().UnixNano()%1e10)
	namespaces := m.api(t).CoreV1().Namespaces()
	if _, err := namespaces.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := namespaces.Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	return m, name
}

// api reaches the test cluster without Helm.
func (m *Manager) api(t *testing.T) kubernetes.Interface {
	t.Helper()
	s, err := m.session()
	if err != nil {
		t.Fatal(err)
	}
	return s.records
}

// chartOf writes a chart; Chart.yaml is there unless files has one.
func chartOf(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	all := map[string]string{"Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.2.3\nappVersion: \"7\"\n"}
	for name, content := range files {
		all[name] = content
	}
	for name, content := range all {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const configMapTemplate = `apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}}
data: {greeting: {{ .Values.greeting | quote }}, revision: "{{ .Release.Revision }}"}
`

// simple is a release of a chart with one ConfigMap.
func simple(t *testing.T, namespace, greeting string) helm.Release {
	t.Helper()
	return helm.Release{
		Ref:    helm.ReleaseRef{Namespace: namespace, Name: "web"},
		Chart:  chartOf(t, map[string]string{"templates/cm.yaml": configMapTemplate, "values.yaml": "greeting: hello\n"}),
		Values: secret.New(fmt.Sprintf(`{"greeting": %q}`, greeting)),
		Owner:  "test", Digest: "d-" + greeting,
	}
}
