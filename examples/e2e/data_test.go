package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// realRepository makes a repository of files from a public project that lies
// beside the checkout; the test skips where it does not.
func (w *world) realRepository(name string, paths ...string) *repo {
	w.t.Helper()
	data, err := filepath.Abs("../../../shared/data")
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(data, name)); err != nil {
		w.t.Skipf("needs the repository %s beside the checkout", name)
	}
	r := w.repo(name, nil)
	for _, p := range paths {
		dst := filepath.Join(r.dir, p)
		if err := os.CopyFS(dst, os.DirFS(filepath.Join(data, name, p))); err != nil {
			w.t.Fatal(err)
		}
	}
	r.commit(nil)
	return r
}

// ownCluster is for tests whose objects have fixed names: the shared cluster
// is not theirs alone; and for tests that break it. It returns its name.
func (w *world) ownCluster() string {
	w.t.Helper()
	name := "e2e-" + w.prefix
	w.mustAsUser("devcluster", "up", name)
	w.t.Cleanup(func() { w.runAsUser("devcluster", "down", name) })
	w.env = append(w.env, "KUBECONFIG="+strings.TrimSpace(w.mustAsUser("devcluster", "kubeconfig", name)))
	return name
}

// TestKubePrometheus applies CRDs and their custom resources from one commit:
// it converges in one go.
func TestKubePrometheus(t *testing.T) {
	w := newWorld(t)
	r := w.realRepository("kube-prometheus", "manifests")
	w.ownCluster()
	config := w.config(oneSync(r, ""))
	w.must("sluice", "apply", "--config", config)
	for _, object := range []string{"prometheus.monitoring.coreos.com/k8s", "deployment/grafana", "servicemonitor.monitoring.coreos.com/kubelet"} {
		if !w.exists("monitoring", object) {
			t.Errorf("%s is missing", object)
		}
	}
	if o := w.run("sluice", "plan", "--config", config); o.code != 0 {
		t.Errorf("plan after apply: exit %d\n%s%s", o.code, o.out, o.errOut)
	}
}

// TestPodinfoKustomize applies the manifests of a kustomize directory as they
// stand; the kustomization itself is not an object.
func TestPodinfoKustomize(t *testing.T) {
	w := newWorld(t)
	r := w.realRepository("podinfo", "kustomize")
	w.ownCluster()
	config := w.config(oneSync(r, ""))
	w.must("sluice", "apply", "--config", config)
	if !w.exists("default", "deployment/podinfo") {
		t.Error("the deployment is missing")
	}
}
