package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPodinfoChart keeps a release of a real chart in git: commits to values
// and to the chart upgrade it, others do not.
func TestPodinfoChart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	podinfo := w.realChart("podinfo", "charts/podinfo")
	r := w.repo("podinfo", map[string]string{"values/prod.yaml": "replicaCount: 2\n"})
	r.chart("charts/podinfo", podinfo)
	s := &site{world: w}
	s.config = w.config(w.only("") + fmt.Sprintf(`
source "git" "podinfo" {
  url      = %q
  interval = "1s"
}
release "podinfo" {
  namespace = "NS"
  chart {
    source = source.git.podinfo
    path   = "charts/podinfo"
  }
  values_from { chart_file = "values-prod.yaml" }
  values_from {
    source = source.git.podinfo
    path   = "values/prod.yaml"
  }
  values = {
    hpa   = { enabled = false }
    redis = { enabled = false }
  }
}
`, r.url))
	s.start()
	if got := s.waitRelease("podinfo", "ready in_sync"); got.Revision != 1 || got.Status != "deployed" || got.ChartVersion != podinfo.version {
		t.Errorf("installed as %+v", got)
	}
	field := func(path string) string {
		return w.must("kubectl", "-n", w.prefix, "get", "deployment", "podinfo", "-o", "jsonpath={"+path+"}")
	}
	if got := field(".status.readyReplicas"); got != "2" {
		t.Errorf("%s replicas are ready after a release that waits, want 2", got)
	}
	r.commit(map[string]string{"values/prod.yaml": "replicaCount: 3\n"})
	s.waitFor("podinfo", "at revision 2", func(l listed) bool { return l.Revision == 2 && l.State == "ready" })
	if got := field(".spec.replicas"); got != "3" {
		t.Errorf("the commit to values has made %s replicas, want 3", got)
	}
	r.chart("charts/podinfo", podinfo.at("6.99.0"))
	s.waitFor("podinfo", "upgraded", func(l listed) bool { return l.ChartVersion == "6.99.0" && l.Revision == 3 && l.State == "ready" })
	commit := r.commit(map[string]string{"unrelated.txt": "nothing"})
	s.eventually(time.Minute, "the commit is seen", func() bool { return strings.Contains(s.sluice("status"), commit[:10]) })
	s.sluice("sync", "release.podinfo", "--wait")
	if got := s.release("podinfo"); got.Revision != 3 {
		t.Errorf("an unrelated commit has made %+v", got)
	}
	if got := len(s.told("upgraded")); got != 2 {
		t.Errorf("%d upgrades were told, want 2", got)
	}
}

// chart commits a chart as it is, in place of what the directory has.
func (r *repo) chart(dir string, c chart) {
	r.w.t.Helper()
	for path, text := range c.under(dir) {
		full := filepath.Join(r.dir, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			r.w.t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o600); err != nil {
			r.w.t.Fatal(err)
		}
	}
	r.commit(nil)
}

// TestChartVersions follows a range of versions in a repository with an index
// of 30 MB that asks for a password.
func TestChartVersions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	charts := w.chartServer(newChart("app", "1.0.0", nil), newChart("app", "1.2.0", nil), newChart("app", "1.3.0-rc.1", nil), newChart("app", "2.0.0", nil))
	charts.pad(30 << 20)
	charts.login("ann", "s3cret")
	s := &site{world: w}
	release := func(name, version string) string {
		return fmt.Sprintf(`
release %q {
  namespace = "NS"
  interval  = "1s"
  chart {
    repository = %q
    name       = "app"
    version    = %q
    username   = "ann"
    password   = "s3cret"
    ca         = file(%q)
  }
}
`, name, charts.URL, version, charts.CA)
	}
	s.config = w.config(w.only("") + release("exact", "1.0.0") + release("range", "^1.0") + release("early", ">=1.3.0-0 <2") + release("newest", "") + release("none", "^7"))
	s.start()
	versions := func(want map[string]string) {
		t.Helper()
		for name, version := range want {
			s.waitFor(name, "ready at "+version, func(l listed) bool { return l.ChartVersion == version && l.State == "ready" })
			if got, _ := w.shown(w.prefix, name); got != "app-"+version {
				t.Errorf("%s runs %s, want %s", name, got, version)
			}
		}
	}
	versions(map[string]string{"exact": "1.0.0", "range": "1.2.0", "early": "1.3.0-rc.1", "newest": "2.0.0"})
	none := s.waitFor("none", "refused", func(l listed) bool { return l.State == "failed" })
	if !strings.Contains(none.Reason, "^7") || !strings.Contains(none.Reason, "app") {
		t.Errorf("the reason should name what is looked for: %s", none.Reason)
	}
	if n := charts.count("index.yaml"); n != 1 {
		t.Errorf("five releases have fetched the index %d times, want 1", n)
	}
	s.lean("helm", 600)
	charts.publish(newChart("app", "1.4.0", nil), newChart("app", "2.1.0", nil))
	versions(map[string]string{"exact": "1.0.0", "range": "1.4.0", "early": "1.4.0", "newest": "2.1.0"})
	if n := charts.count("archives/app-1.4.0.tgz"); n != 1 {
		t.Errorf("two releases have fetched one chart %d times, want 1", n)
	}
	s.neverTold("s3cret")
}

// lean checks how much memory a plugin has taken at most, in MiB.
func (s *site) lean(plugin string, most int) {
	s.t.Helper()
	pid := s.plugins(s.config)[plugin]
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		s.t.Skipf("no /proc: %v", err)
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	var kib int
	if _, err := fmt.Sscan(peak, &kib); err != nil {
		s.t.Fatal(err)
	}
	if kib>>10 > most {
		s.t.Errorf("the plugin %s has taken %d MiB, want at most %d", plugin, kib>>10, most)
	}
}
