package cluster

import (
	"context"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// pod makes the process look like one in a pod, and returns the directory of
// its service account. A file without content is left out.
func pod(t *testing.T, host, port, token string, authority []byte) string {
	t.Helper()
	t.Setenv("KUBERNETES_SERVICE_HOST", host)
	t.Setenv("KUBERNETES_SERVICE_PORT", port)
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	dir := t.TempDir()
	for name, data := range map[string][]byte{"token": []byte(token), "ca.crt": authority} {
		if len(data) == 0 {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestInClusterMistakes(t *testing.T) {
	authority, _, err := cert.GenerateSelfSignedCertKey("127.0.0.1", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, host, port, token string
		authority               []byte
		want                    string
	}{
		{"no host", "", "443", "t", authority, "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT, which every pod has, are not set"},
		{"no port", "10.0.0.1", "", "t", authority, "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT, which every pod has, are not set"},
		{"no token", "10.0.0.1", "443", "", authority, "automountServiceAccountToken"},
		{"empty token", "10.0.0.1", "443", " \n", authority, "token is empty"},
		{"no authority", "10.0.0.1", "443", "t", nil, "ca.crt"},
		{"broken authority", "10.0.0.1", "443", "t", []byte("not PEM"), "ca.crt"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := pod(t, tt.host, tt.port, tt.token, tt.authority)
			_, err := Connect(Options{InCluster: true, ServiceAccount: dir})
			list, ok := diag.From(err)
			if !ok || list[0].Path.String() != "in_cluster" || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want a diagnostic at in_cluster with %q", err, tt.want)
			}
		})
	}
}

// TestBrokenServiceAccountWithoutKubeconfig: who runs in a pod is not told
// that this is none.
func TestBrokenServiceAccountWithoutKubeconfig(t *testing.T) {
	dir := pod(t, "10.0.0.1", "443", "", nil)
	_, err := Connect(Options{ServiceAccount: dir})
	if err == nil || !strings.Contains(err.Error(), "the pod's service account cannot be used") {
		t.Errorf("got %v", err)
	}
}

func TestInClusterConfiguration(t *testing.T) {
	authority, _, err := cert.GenerateSelfSignedCertKey("127.0.0.1", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := pod(t, "fd00::1", "6443", "token\n", authority)
	config, err := serviceAccount(dir)
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != "https://[fd00::1]:6443" || config.BearerToken != "token" ||
		config.BearerTokenFile != filepath.Join(dir, "token") || config.CAFile != filepath.Join(dir, "ca.crt") {
		t.Errorf("configuration %s of %s, authority %s", config.Host, config.BearerTokenFile, config.CAFile)
	}
}

// TestInCluster talks to a real API server as a service account, with
// in_cluster and with no configuration at all, after its token was replaced.
func TestInCluster(t *testing.T) {
	path := os.Getenv("SLUICE_TEST_KUBECONFIG")
	if path == "" {
		t.Skip("SLUICE_TEST_KUBECONFIG names no kubeconfig; `make test` starts a cluster and sets it")
	}
	admin, err := Connect(Options{Kubeconfig: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close) // after what account leaves
	namespace, token := account(t, admin)
	config := admin.transport.copyConfig()
	if err := rest.LoadTLSFiles(config); err != nil {
		t.Fatal(err)
	}
	server, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(server.Host)
	if err != nil {
		t.Fatal(err)
	}
	dir := pod(t, host, port, token, config.CAData)
	for name, o := range map[string]Options{
		"in_cluster":       {InCluster: true, ServiceAccount: dir},
		"no configuration": {ServiceAccount: dir},
	} {
		t.Run(name, func(t *testing.T) {
			write(t, dir, "expired")
			c, err := Connect(o)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if who, err := whoAmI(t, c); !apierrors.IsUnauthorized(err) {
				t.Errorf("with an expired token: %q, %v", who, err)
			}
			write(t, dir, token)             // as the kubelet does
			c.transport.looked = time.Time{} // as if the pause were over
			who, err := whoAmI(t, c)
			if want := "system:serviceaccount:" + namespace + ":runner"; err != nil || who != want {
				t.Errorf("the API server sees %q, %v; want %q", who, err, want)
			}
			if _, err := c.Metadata.Resource(resource("", "v1", "namespaces")).Get(t.Context(), namespace, metav1.GetOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
}

func write(t *testing.T, dir, token string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
}

func resource(group, version, name string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: group, Version: version, Resource: name}
}

// account makes the service account runner, which may do anything, in a
// namespace of its own, and returns a token of it.
func account(t *testing.T, admin *Client) (namespace, token string) {
	t.Helper()
	create := func(gvr schema.GroupVersionResource, namespace string, object map[string]any, subresources ...string) *unstructured.Unstructured {
		t.Helper()
		made, err := admin.Dynamic.Resource(gvr).Namespace(namespace).Create(t.Context(), &unstructured.Unstructured{Object: object}, metav1.CreateOptions{}, subresources...)
		if err != nil {
			t.Fatal(err)
		}
		if len(subresources) == 0 {
			t.Cleanup(func() {
				ctx := context.WithoutCancel(t.Context())
				if err := admin.Dynamic.Resource(gvr).Namespace(namespace).Delete(ctx, made.GetName(), metav1.DeleteOptions{}); err != nil {
					t.Error(err)
				}
			})
		}
		return made
	}
	namespace = create(resource("", "v1", "namespaces"), "", map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"generateName": "in-cluster-"},
	}).GetName()
	accounts := resource("", "v1", "serviceaccounts")
	create(accounts, namespace, map[string]any{
		"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"name": "runner"},
	})
	create(resource("rbac.authorization.k8s.io", "v1", "clusterrolebindings"), "", map[string]any{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": map[string]any{"name": namespace},
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
		"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": "runner", "namespace": namespace}},
	})
	answer := create(accounts, namespace, map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": map[string]any{"name": "runner"},
		"spec": map[string]any{"expirationSeconds": int64(600)},
	}, "token")
	return namespace, text(t, answer, "status", "token")
}

// whoAmI returns the user that the API server takes c for.
func whoAmI(t *testing.T, c *Client) (string, error) {
	t.Helper()
	made, err := c.Dynamic.Resource(resource("authentication.k8s.io", "v1", "selfsubjectreviews")).Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview",
	}}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return text(t, made, "status", "userInfo", "username"), nil
}

func text(t *testing.T, u *unstructured.Unstructured, path ...string) string {
	t.Helper()
	value, found, err := unstructured.NestedString(u.Object, path...)
	if err != nil || !found {
		t.Fatalf("%s of the answer: %q, %v", strings.Join(path, "."), value, err)
	}
	return value
}
