package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestApplierBlock declares the applier, instead of taking what the
// environment has, and keeps it within one namespace.
func TestApplierBlock(t *testing.T) {
	w := newWorld(t)
	w.must("kubectl", "create", "namespace", w.prefix)
	outside := "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: NS\n  namespace: kube-system\n"
	r := w.repo("app", map[string]string{
		"inside.yaml":  "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: inside\ndata:\n  key: \"1\"\n",
		"outside.yaml": documents(configMap("", "neighbour", "1"), outside),
	})
	alone := w.withoutKubeconfig()
	config := w.config(oneSync(r, ""))
	if o := alone.run("sluice", "apply", "--config", config); o.code != 1 || !strings.Contains(o.out+o.errOut, "no cluster") {
		t.Fatalf("without the block: exit %d, want 1 and to be told that there is no cluster\n%s%s", o.code, o.out, o.errOut)
	}

	config = w.config(fmt.Sprintf(`
applier "kubernetes" "c" {
  kubeconfig        = %q
  default_namespace = "NS"
  namespaces        = ["NS"]
}
`, os.Getenv("SLUICE_TEST_KUBECONFIG")) + oneSync(r, ""))
	o := alone.run("sluice", "apply", "--config", config)
	if all := o.out + o.errOut; o.code != 1 || !strings.Contains(all, fmt.Sprintf("outside.yaml:9: kube-system:ConfigMap/%s: namespace \"kube-system\" is outside", w.prefix)) {
		t.Errorf("exit %d, want 1 with the place of the object outside\n%s", o.code, all)
	}
	for _, object := range []string{"configmap/inside", "configmap/neighbour"} {
		if !w.exists(w.prefix, object) {
			t.Errorf("%s is missing in the default namespace\n%s%s", object, o.out, o.errOut)
		}
	}
	if w.exists("kube-system", "configmap/"+w.prefix) {
		t.Error("the applier wrote outside of its namespaces")
	}

	r.commit(map[string]string{"outside.yaml": ""})
	alone.must("sluice", "apply", "--config", config)
	if !w.exists(w.prefix, "configmap/inside") || w.exists(w.prefix, "configmap/neighbour") {
		t.Error("want the object that is declared, and that only")
	}
}

// withoutKubeconfig is the world for a command that finds no cluster in its
// environment.
func (w *world) withoutKubeconfig() *world {
	sub := *w
	sub.env = slices.DeleteFunc(slices.Clone(w.env), func(v string) bool { return strings.HasPrefix(v, "KUBECONFIG=") })
	return &sub
}
