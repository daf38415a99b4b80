package main

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
	"k8s.io/client-go/tools/clientcmd"
)

func TestMain(m *testing.M) {
	quiet()
	os.Exit(m.Run())
}

// kubeconfigVariable names the kubeconfig of a real cluster that these tests
// may fill and empty.
const kubeconfigVariable = "SLUICE_TEST_KUBECONFIG"

// namespace makes one of the test's own in the test cluster.
func namespace(t *testing.T) (kubeconfig, name string) {
	t.Helper()
	kubeconfig = os.Getenv(kubeconfigVariable)
	if kubeconfig == "" {
		t.Skipf("%s names no kubeconfig; `make test` starts a cluster and sets it", kubeconfigVariable)
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	name = fmt.Sprintf("p%d-%d", os.Getpid(), time.Now().UnixNano()%1e10)
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.CoreV1().Namespaces().Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	return kubeconfig, name
}

// shared is a file or directory of the data that several tests share.
func shared(t *testing.T, path string) string {
	t.Helper()
	full, err := filepath.Abs(filepath.Join("..", "..", "..", "shared", "data", filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(full); err != nil {
		t.Skipf("%s is not there", full)
	}
	return full
}
