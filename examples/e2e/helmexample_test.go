package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// helmExample runs the daemon, with a chart repository whose authority is the
// test's own.
func (w *world) helmExample() {
	charts := w.chartServer(server("cache", "1.2.0"), server("cache", "1.3.0"), server("cache", "2.0.0"))
	w.exampleRepository("helm", "helm/repository")
	ca, err := os.ReadFile(charts.CA)
	if err != nil {
		w.t.Fatal(err)
	}
	w.definitions()
	w.env = append(w.env, "SLUICE_VAR_git="+w.gitURL, "SLUICE_VAR_charts="+charts.URL, "SLUICE_VAR_charts_ca="+string(ca),
		"SLUICE_VAR_data_dir="+filepath.Join(w.dir, "helm"))
	s := &site{world: w, config: example("helm/sluice.hcl")}
	if o := s.try("plan"); o.code != 2 || !strings.Contains(o.out, "release.web") {
		w.t.Errorf("plan: exit %d, want 2\n%s%s", o.code, o.out, o.errOut)
	}
	s.start()
	s.sluice("sync", "release.web", "release.cache", "--wait")
	s.waitRelease("helmrelease.cluster/shop/blog", "ready in_sync")
	if got := w.must("kubectl", "-n", "shop", "get", "deployment", "web", "-o", "jsonpath={.spec.replicas} {.spec.template.spec.containers[0].env[0].value} {.spec.template.spec.containers[0].image}"); got != "2 Moin registry.example.com/shop/web:1.4.1" {
		w.t.Errorf("web has %s", got)
	}
	if got := s.release("cache"); got.ChartVersion != "1.3.0" || got.Status != "deployed" {
		w.t.Errorf("cache: %+v", got)
	}
	ids := strings.Fields(s.sluice("helm", "list", "-o", "name"))
	slices.Sort(ids)
	if !slices.Equal(ids, []string{"shop/blog", "shop/cache", "shop/web"}) {
		w.t.Errorf("helm list: %q", ids)
	}
	if got := s.sluice("helm", "values", "shop/web", "--declared"); !strings.Contains(got, "greeting: Moin") {
		w.t.Errorf("values of web:\n%s", got)
	}
	s.sluice("helm", "list", "--check")
}
