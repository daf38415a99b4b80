package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestHelmMany installs 200 releases at once: each with few requests, and all of
// them with next to none while nothing changes.
func TestHelmMany(t *testing.T) {
	const n, objects = 200, 2
	w := newWorld(t)
	t.Parallel()
	w.namespaces("")
	proxy := w.throughProxy()
	r := w.repo("app", trees(webChart("web", "1.0.0", nil)))
	config := w.config(within("") + r.source() + fmt.Sprintf(`
release "web" {
  for_each  = toset([for i in range(%d) : format("%%d", i)])
  namespace = "NS"
  interval  = "5s"
  chart {
    source = source.git.app
    path   = "charts/web"
  }
}
`, n))
	w.env = append(w.env, "KUBECONFIG="+proxy.kubeconfig)
	var all, writes atomic.Int64
	count := func(_ http.ResponseWriter, r *http.Request) bool {
		all.Add(1)
		if r.Method != http.MethodGet {
			writes.Add(1)
		}
		return false
	}
	proxy.before.Store(&count)
	w.daemon(config)
	w.eventually(3*time.Minute, "all releases are installed", func() bool { return w.settled(config, n) })
	if got := w.greetings()["hello"]; got != n {
		t.Fatalf("there are %d config maps, want %d", got, n)
	}
	t.Logf("install: %d requests, %d of them writes", all.Load(), writes.Load())
	if writes.Load() > n*(objects+4) || all.Load() > n*20 {
		t.Errorf("%d requests, %d of them writes, to install %d releases of %d objects", all.Load(), writes.Load(), n, objects)
	}
	all.Store(0)
	writes.Store(0)
	w.moreLooks(config, "release.web[\"199\"]")
	t.Logf("at rest: %d requests", all.Load())
	if writes.Load() > 0 || all.Load() > n {
		t.Errorf("%d requests, %d of them writes, for %d releases at rest", all.Load(), writes.Load(), n)
	}
}

// settled reports whether the daemon knows n releases, all in sync.
func (w *world) settled(config string, n int) bool {
	w.t.Helper()
	known := w.releases(config)
	for _, r := range known {
		if r.State+" "+r.Release != "ready in_sync" {
			return false
		}
	}
	return len(known) == n
}

// greetings counts the values of the config maps in NS.
func (w *world) greetings() map[string]int {
	w.t.Helper()
	var list struct {
		Items []struct{ Data map[string]string }
	}
	out := w.must("kubectl", "-n", w.prefix, "get", "configmaps", "-o", "json")
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		w.t.Fatal(err)
	}
	counts := map[string]int{}
	for _, item := range list.Items {
		if greeting := strings.TrimSpace(item.Data["key"]); greeting != "" {
			counts[greeting]++
		}
	}
	return counts
}
