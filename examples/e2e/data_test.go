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

// TestFluxGetStarted runs the repository that Flux v1 users started with: its
// charts are no manifests, what the cluster does not serve is named with
// file:line and the alternative, and the rest is applied.
func TestFluxGetStarted(t *testing.T) {
	w := newWorld(t)
	r := w.realRepository("flux-get-started", ".")
	w.ownCluster()
	config := w.config(oneSync(r, ""))
	o := w.run("sluice", "apply", "--config", config)
	all := o.out + o.errOut
	if o.code != 1 {
		t.Errorf("exit %d, want 1: some objects cannot be applied\n%s", o.code, all)
	}
	for _, want := range []string{
		"releases/ghost.yaml:2: demo:HelmRelease.helm.fluxcd.io/ghost: no CRD installed for HelmRelease helm.fluxcd.io/v1",
		"releases/mongodb.yaml:2: ",
		"workloads/podinfo-hpa.yaml:1: demo:HorizontalPodAutoscaler.autoscaling/podinfo: HorizontalPodAutoscaler autoscaling/v2beta1 is not served; the cluster serves autoscaling/v2, autoscaling/v1",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("the report lacks %q\n%s", want, all)
		}
	}
	if strings.Contains(all, "charts/") {
		t.Errorf("a Helm chart was read as manifests:\n%s", all)
	}
	if !w.exists("demo", "deployment/podinfo") {
		t.Errorf("the objects that the cluster knows were held back\n%s", all)
	}
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
