package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestHelmTrouble declares releases that cannot work, each for another reason,
// beside one that can: each says why and where, and holds nothing else back.
func TestHelmTrouble(t *testing.T) {
	w := newWorld(t)
	t.Parallel()
	w.namespaces("")
	schema := `{"type": "object", "properties": {"replicas": {"type": "integer", "minimum": 1}}}`
	r := w.repo("app", trees(
		webChart("good", "1.0.0", nil),
		webChart("template", "1.0.0", map[string]string{"templates/broken.yaml": "a: {{ required \"set .Values.host\" .Values.host }}\n"}),
		webChart("syntax", "1.0.0", map[string]string{"templates/broken.yaml": "a: {{ if }}\n"}),
		webChart("manifest", "1.0.0", map[string]string{"templates/broken.yaml": "apiVersion: v1\nkind: ConfigMap\n  metadata: {}\n"}),
		webChart("kind", "1.0.0", map[string]string{"templates/broken.yaml": "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: thing}\n"}),
		webChart("schema", "1.0.0", map[string]string{"values.schema.json": schema}),
		webChart("dependency", "1.0.0", map[string]string{"Chart.yaml": "apiVersion: v2\nname: dependency\nversion: 1.0.0\ndependencies:\n- {name: db, version: 1.x, repository: \"http://127.0.0.1:1/charts\"}\n"}),
	))
	config := w.config(within("") + r.source() +
		releaseBlock("template", "template", "") + releaseBlock("syntax", "syntax", "") + releaseBlock("manifest", "manifest", "") +
		releaseBlock("kind", "kind", "") + releaseBlock("dependency", "dependency", "") + releaseBlock("nochart", "nothing", "") +
		releaseBlock("schema", "schema", "values = {\n    greeting = \"x\"\n    replicas = 0\n  }") +
		releaseBlock("values", "good", "values_from {\n    secret = \"nothing\"\n  }") +
		releaseBlock("blocked", "good", "depends_on = [release.template]") +
		releaseBlock("good", "good", ""))
	d := w.daemon(config)
	w.eventually(time.Minute, "the good one is installed", func() bool { return w.allReady(config, "good") })
	for name, want := range map[string][]string{
		"template":   {"templates/broken.yaml", "set .Values.host"},
		"syntax":     {"templates/broken.yaml:1"},
		"manifest":   {"templates/broken.yaml"},
		"kind":       {"Thing", "example.com/v1"},
		"dependency": {"db", "http://127.0.0.1:1/charts"},
		"nochart":    {"charts/nothing"},
		"schema":     {"replicas", "sluice.hcl:"},
		"values":     {"Secret", "nothing", "sluice.hcl:"},
	} {
		w.eventually(time.Minute, name+" fails, and says why", func() bool {
			all := w.state(config, "release."+name) + w.run("sluice", "status", "--config", config, "release."+name).out
			for _, text := range want {
				if !strings.Contains(all, text) {
					return false
				}
			}
			return strings.HasPrefix(all, "failed")
		})
	}
	if s := w.state(config, "release.blocked"); !strings.HasPrefix(s, "blocked") || !strings.Contains(s, "release.template") {
		t.Errorf("what depends on a release that fails is %q", s)
	}
	d.alive()
}

// TestHelmRollsBack: an upgrade that fails is tried again as often as declared,
// and rolled back; then nothing happens until values change, and the next ones
// that work are taken.
func TestHelmRollsBack(t *testing.T) {
	w := newWorld(t)
	t.Parallel()
	w.namespaces("")
	r := w.repo("app", trees(webChart("web", "1.0.0", map[string]string{"templates/bad.yaml": badIfTold})))
	block := func(values string) string {
		return w.config(within("") + r.source() + releaseBlock("web", "web", "interval = \"1s\"\n  skip_openapi = true\n  values = { "+values+" }\n  on_failure { retries = 1 }"))
	}
	config := block(`greeting = "one"`)
	w.daemon(config)
	w.eventually(time.Minute, "the install", func() bool { return w.allReady(config, "web") })
	block("greeting = \"two\"\n bad = true")
	w.eventually(time.Minute, "the upgrade is rolled back", func() bool {
		s := w.state(config, "release.web")
		return strings.HasPrefix(s, "failed") && strings.Contains(s, "rolled back") && w.value("web") == "one" && w.deployed(w.prefix, "web") > 2
	})
	before := w.history(w.prefix, "web")
	if failed := len(before) - 2; failed != 2 {
		t.Errorf("%d failed upgrades, want the first and 1 retry: %+v", failed, before)
	}
	w.moreLooks(config, "release.web")
	if after := w.history(w.prefix, "web"); len(after) != len(before) {
		t.Errorf("what was given up is tried again: %+v", after)
	}
	block(`greeting = "three"`)
	w.eventually(time.Minute, "what works is taken", func() bool { return w.value("web") == "three" && w.allReady(config, "web") })
	w.oneChain(w.prefix, "web")
}

// moreLooks waits until a node has run twice more by itself.
func (w *world) moreLooks(config, id string) {
	w.t.Helper()
	var last time.Time
	for range 3 {
		w.eventually(time.Minute, "another look at "+id, func() bool {
			for _, n := range w.status(config).Nodes {
				if n.ID == id && n.LastRun.After(last) {
					last = n.LastRun
					return true
				}
			}
			return false
		})
	}
}

// TestHelmTests: tests of a chart that fail undo the upgrade; `sluice helm test`
// tells their result.
func TestHelmTests(t *testing.T) {
	w := newWorld(t)
	t.Parallel()
	w.namespaces("")
	test := strings.ReplaceAll(endlessHook("test"), "suspend: true # never starts", "suspend: {{ .Values.bad }}\n  activeDeadlineSeconds: 60")
	r := w.repo("app", trees(webChart("web", "1.0.0", map[string]string{"templates/test.yaml": test, "values.yaml": "greeting: x\nbad: false\n"})))
	block := func(values string) string {
		return w.config(within("") + r.source() + releaseBlock("web", "web", "values = { "+values+" }\n  test { timeout = \"3s\" }\n  on_failure { retries = 0 }"))
	}
	config := block(`greeting = "one"`)
	w.daemon(config)
	w.eventually(time.Minute, "it is installed and tested", func() bool { return w.allReady(config, "web") })
	block("greeting = \"two\"\n bad = true")
	w.eventually(time.Minute, "the upgrade whose tests fail is rolled back", func() bool {
		s := w.state(config, "release.web")
		return strings.HasPrefix(s, "failed") && strings.Contains(s, "test") && w.value("web") == "one"
	})
	block(`greeting = "three"`)
	w.eventually(time.Minute, "the next one passes", func() bool { return w.value("web") == "three" && w.allReady(config, "web") })
	if out := w.must("sluice", "helm", "test", "web", "--config", config); !strings.Contains(out, "passed") {
		t.Errorf("helm test says:\n%s", out)
	}
	w.oneChain(w.prefix, "web")
}

// TestHelmOrder: a release waits for a sync, a sync for a release, and both go
// on when what they wait for is done.
func TestHelmOrder(t *testing.T) {
	w := newWorld(t)
	t.Parallel()
	r := w.repo("app", files(trees(webChart("web", "1.0.0", nil)), map[string]string{
		"base/ns.yaml": namespace(""),
		"late/cm.yaml": configMap("", "late", "1"),
	}))
	block := func(more string) string {
		return w.config(within("") + r.source() + fmt.Sprintf(`
sync "NS-base" {
  source = source.git.app
  paths  = ["base"]
}
sync "NS-late" {
  source     = source.git.app
  paths      = ["late"]
  depends_on = [release.web]
}
%s`, releaseBlock("web", "web", "depends_on = [sync.NS-base]\n  "+more)))
	}
	config := block("suspend = true\n  suspend_reason = \"not yet\"")
	w.daemon(config)
	w.eventually(time.Minute, "the sync before is done", func() bool { return strings.HasPrefix(w.state(config, "sync."+w.prefix+"-base"), "ready") })
	if s := w.state(config, "release.web"); !strings.HasPrefix(s, "suspended") || !strings.Contains(s, "not yet") {
		t.Errorf("the suspended release is %q", s)
	}
	if s := w.state(config, "sync."+w.prefix+"-late"); !strings.HasPrefix(s, "blocked") || !strings.Contains(s, "release.web") {
		t.Errorf("the sync after it is %q", s)
	}
	block("")
	w.eventually(time.Minute, "the release, and the sync after it", func() bool {
		return w.deployed(w.prefix, "web") == 1 && w.value("late") == "1"
	})
}

// TestHelmDrift: what is changed or deleted by hand is put back without a new
// revision, and a quiet release costs next to nothing.
func TestHelmDrift(t *testing.T) {
	w := newWorld(t)
	t.Parallel()
	w.namespaces("")
	proxy := w.throughProxy()
	r := w.repo("app", trees(webChart("web", "1.0.0", nil)))
	config := w.config(within("") + r.source() + releaseBlock("web", "web", "interval = \"1s\"") +
		releaseBlock("watched", "web", "interval = \"1s\"\n  drift { mode = \"warn\" }") +
		releaseBlock("free", "web", "interval = \"1s\"\n  drift {\n    ignore {\n      kind = \"ConfigMap\"\n      paths = [\"/data/key\"]\n    }\n  }"))
	w.env = append(w.env, "KUBECONFIG="+proxy.kubeconfig)
	w.daemon(config)
	w.eventually(time.Minute, "all are installed", func() bool { return w.allReady(config, "web", "watched", "free") })
	for _, name := range []string{"web", "watched", "free"} {
		w.must("kubectl", "-n", w.prefix, "patch", "configmap", name, "--type=merge", "-p", `{"data":{"key":"by hand"}}`)
	}
	w.must("kubectl", "-n", w.prefix, "delete", "service", "web")
	w.eventually(time.Minute, "what was changed is put back", func() bool { return w.value("web") == "hello" && w.exists(w.prefix, "service/web") })
	w.eventually(time.Minute, "where it is only watched, it is told", func() bool {
		return w.releases(config)["watched"].Release == "drifted" && strings.Contains(w.must("sluice", "helm", "diff", "watched", "--config", config), "by hand")
	})
	if w.value("watched") != "by hand" || w.value("free") != "by hand" {
		t.Errorf("watched has %q and free %q: put back although it was not to be", w.value("watched"), w.value("free"))
	}
	if n := w.deployed(w.prefix, "web"); n != 1 {
		t.Errorf("the repair made revision %d", n)
	}
	var writes atomic.Int64
	proxy.intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("dryRun") == "" {
			writes.Add(1)
		}
		return false
	})
	told := w.must("sluice", "events", "--config", config, "--limit", "1000")
	for _, name := range []string{"web", "watched", "free"} {
		w.moreLooks(config, "release."+name)
	}
	if now := w.must("sluice", "events", "--config", config, "--limit", "1000"); writes.Load() > 0 || now != told {
		t.Errorf("releases at rest made %d writes, and these events:\n%s", writes.Load(), now)
	}
}
