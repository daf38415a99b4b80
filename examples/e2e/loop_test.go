package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// status is the contract of `sluice status -o json`.
type status struct {
	Nodes []struct {
		ID, State, Reason, Revision string
		Since                       time.Time
		LastRun                     time.Time `json:"last_run"`
		Objects, Failed             int
	}
}

func (w *world) status(config string) status {
	w.t.Helper()
	var s status
	if err := json.Unmarshal([]byte(w.must("sluice", "status", "--config", config, "-o", "json")), &s); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// state returns "state: reason" of a node, for conditions and messages.
func (w *world) state(config, id string) string {
	w.t.Helper()
	for _, n := range w.status(config).Nodes {
		if n.ID == id {
			return n.State + ": " + n.Reason
		}
	}
	return "no such node"
}

// ready reports whether the daemon says that the sync of oneSync is ready with
// commit; not if there is no daemon.
func (w *world) ready(config, commit string) bool {
	w.t.Helper()
	o := w.run("sluice", "status", "--config", config, "-o", "json")
	var s status
	if o.code != 0 || json.Unmarshal([]byte(o.out), &s) != nil {
		return false
	}
	for _, n := range s.Nodes {
		if n.ID == "sync."+w.prefix {
			return n.State == "ready" && strings.Contains(n.Revision, commit)
		}
	}
	return false
}

// oneSync is a configuration of one repository.
func oneSync(r *repo, more string) string {
	return fmt.Sprintf(`
source "git" "app" {
  url      = %q
  branch   = "main"
  interval = "1s"
}
sync "NS" {
  source = source.git.app
  %s
}
`, r.url, more)
}

// TestLoop is the mission in one test: two repositories from one file, an
// order between them, a commit that arrives by polling alone, a pruned file.
func TestLoop(t *testing.T) {
	w := newWorld(t)
	platform := w.repo("platform", map[string]string{"namespaces/ns.yaml": namespace("")})
	shop := w.repo("shop", map[string]string{
		"web.yaml":    deployment("", "web", "example.com/web:1"),
		"worker.yaml": deployment("", "worker", "example.com/worker:1"),
		"cache.yaml":  configMap("", "cache", "64Mi"),
	})
	config := w.config(fmt.Sprintf(`
source "git" "platform" {
  url = %q
  interval = "1s"
}
source "git" "shop" {
  url = %q
  interval = "1s"
}
sync "NS-platform" { source = source.git.platform }
sync "NS-shop" {
  source     = source.git.shop
  depends_on = [sync.NS-platform]
  wait { timeout = "1m" }
}
`, platform.url, shop.url))
	w.daemon(config)
	w.must("sluice", "sync", "--config", config, w.prefix+"-platform", w.prefix+"-shop", "--wait", "--timeout", "2m")
	if got := w.must("kubectl", "-n", w.prefix, "get", "deployment", "web", "-o", "jsonpath={.status.readyReplicas}"); got != "2" {
		t.Errorf("web has %s ready replicas after a sync that waits, want 2", got)
	}

	commit := shop.commit(map[string]string{"web.yaml": deployment("", "web", "example.com/web:2"), "worker.yaml": ""})
	w.eventually(time.Minute, "the commit is applied", func() bool {
		return strings.Contains(w.must("kubectl", "-n", w.prefix, "get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}"), "web:2")
	})
	w.eventually(time.Minute, "the worker is pruned", func() bool { return !w.exists(w.prefix, "deployment/worker") })
	w.eventually(time.Minute, "the status shows the new revision", func() bool {
		for _, n := range w.status(config).Nodes {
			if n.ID == "sync."+w.prefix+"-shop" {
				return n.State == "ready" && strings.Contains(n.Revision, commit) && n.Objects == 2 && n.Failed == 0
			}
		}
		return false
	})
	if !w.exists(w.prefix, "configmap/cache") {
		t.Error("the pruning took more than the deleted file's object")
	}
	if out := w.must("sluice", "why", "--config", config, "-n", w.prefix, "deployment/web"); !strings.Contains(out, "web.yaml:1") {
		t.Errorf("why does not name the origin of the object:\n%s", out)
	}
}

// TestOneShot plans and applies without a daemon.
func TestOneShot(t *testing.T) {
	w := newWorld(t)
	r := w.repo("app", map[string]string{"app.yaml": documents(namespace(""), configMap("", "a", "1"))})
	config := w.config(oneSync(r, ""))
	plan := w.run("sluice", "plan", "--config", config)
	if plan.code != 2 || !strings.Contains(plan.out, "a") {
		t.Fatalf("plan: exit %d, want 2\n%s%s", plan.code, plan.out, plan.errOut)
	}
	if w.exists(w.prefix, "configmap/a") {
		t.Fatal("plan created the object")
	}
	w.must("sluice", "apply", "--config", config)
	if again := w.run("sluice", "plan", "--config", config); again.code != 0 {
		t.Fatalf("plan after apply: exit %d, want 0\n%s%s", again.code, again.out, again.errOut)
	}
	r.commit(map[string]string{"app.yaml": documents(namespace(""), configMap("", "a", "2"))})
	diff := w.run("sluice", "plan", "--config", config)
	if diff.code != 2 || !strings.Contains(diff.out, "+  key: \"2\"") {
		t.Fatalf("plan shows no diff: exit %d\n%s%s", diff.code, diff.out, diff.errOut)
	}
}

// TestBrokenFile checks that a file which does not parse harms only itself,
// and that nothing is pruned while the load is incomplete.
func TestBrokenFile(t *testing.T) {
	w := newWorld(t)
	files := map[string]string{"ns.yaml": namespace(""), "a.yaml": configMap("", "a", "1"), "b.yaml": configMap("", "b", "1")}
	r := w.repo("app", files)
	config := w.config(oneSync(r, ""))
	w.must("sluice", "apply", "--config", config)

	r.commit(map[string]string{"a.yaml": configMap("", "a", "2"), "b.yaml": "apiVersion: v1\nkind: [ConfigMap\n"})
	o := w.run("sluice", "apply", "--config", config)
	if o.code != 1 || !strings.Contains(o.out+o.errOut, "b.yaml:2") {
		t.Errorf("apply with a broken file: exit %d, want 1 and b.yaml:2 named\n%s%s", o.code, o.out, o.errOut)
	}
	if got := w.must("kubectl", "-n", w.prefix, "get", "configmap", "a", "-o", "jsonpath={.data.key}"); got != "2" {
		t.Errorf("the good file was not applied: a has %q", got)
	}
	if !w.exists(w.prefix, "configmap/b") {
		t.Error("the object of the broken file was pruned")
	}
}

// TestPruneBudget checks that a large prune waits for approval.
func TestPruneBudget(t *testing.T) {
	w := newWorld(t)
	files := map[string]string{"ns.yaml": namespace("")}
	for i := range 30 {
		files[fmt.Sprintf("cm-%02d.yaml", i)] = configMap("", fmt.Sprintf("cm-%02d", i), "x")
	}
	r := w.repo("app", files)
	config := w.config(oneSync(r, ""))
	w.daemon(config)
	w.must("sluice", "sync", "--config", config, w.prefix, "--wait")
	gone := map[string]string{}
	for i := range 15 {
		gone[fmt.Sprintf("cm-%02d.yaml", i)] = ""
	}
	r.commit(gone)
	w.eventually(time.Minute, "the prune waits for approval", func() bool {
		return strings.Contains(w.state(config, "sync."+w.prefix), "approv")
	})
	if !w.exists(w.prefix, "configmap/cm-00") {
		t.Fatal("pruned without approval")
	}
	w.must("sluice", "approve", "--config", config, w.prefix)
	w.eventually(time.Minute, "the approved prune is done", func() bool {
		return !w.exists(w.prefix, "configmap/cm-00") && !w.exists(w.prefix, "configmap/cm-14")
	})
	if !w.exists(w.prefix, "configmap/cm-15") {
		t.Error("the prune took what is still declared")
	}
}

// TestTwoOwners checks that an object which two syncs claim stays with the one
// that has it, and that the other one names both.
func TestTwoOwners(t *testing.T) {
	w := newWorld(t)
	first := w.repo("first", map[string]string{"app.yaml": documents(namespace(""), configMap("", "shared", "first"))})
	second := w.repo("second", map[string]string{"app.yaml": documents(configMap("", "shared", "second"), configMap("", "own", "second"))})
	config := w.config(fmt.Sprintf(`
source "git" "first"  { url = %q }
source "git" "second" { url = %q }
sync "NS-first"  { source = source.git.first }
sync "NS-second" { 
  source     = source.git.second
  depends_on = [sync.NS-first]
}
`, first.url, second.url))
	o := w.run("sluice", "apply", "--config", config)
	all := o.out + o.errOut
	if o.code != 1 || !strings.Contains(all, w.prefix+"-first") || !strings.Contains(all, "app.yaml:1") {
		t.Errorf("exit %d; the conflict does not name the owner and the place:\n%s", o.code, all)
	}
	if got := w.must("kubectl", "-n", w.prefix, "get", "configmap", "shared", "-o", "jsonpath={.data.key}"); got != "first" {
		t.Errorf("the object changed hands: %q", got)
	}
	if !w.exists(w.prefix, "configmap/own") {
		t.Error("the conflict held back the sync's other objects")
	}
}

// TestSourceFailures checks that each broken repository is named with its
// cause, and holds nothing else back.
func TestSourceFailures(t *testing.T) {
	w := newWorld(t)
	good := w.repo("good", map[string]string{"app.yaml": documents(namespace(""), configMap("", "a", "1"))})
	w.must("git", "init", "-q", "--bare", "-b", "main", w.dir+"/git/empty.git")
	config := w.config(fmt.Sprintf(`
source "git" "good"   { url = %[2]q }
source "git" "gone"   { url = "%[1]s/gone.git" }
source "git" "empty"  { url = "%[1]s/empty.git" }
source "git" "branch" {
  url    = %[2]q
  branch = "mian"
}
sync "NS-good"   { source = source.git.good }
sync "NS-gone"   { source = source.git.gone }
sync "NS-empty"  { source = source.git.empty }
sync "NS-branch" { source = source.git.branch }
`, w.gitURL, good.url))
	w.daemon(config)
	w.must("sluice", "sync", "--config", config, w.prefix+"-good", "--wait")
	for id, want := range map[string]string{"source.git.gone": "gone.git", "source.git.empty": "empty", "source.git.branch": "mian"} {
		w.eventually(time.Minute, id+" fails with "+want, func() bool {
			s := w.state(config, id)
			return strings.HasPrefix(s, "failed") && strings.Contains(s, want)
		})
	}
	for _, sync := range []string{"gone", "empty", "branch"} {
		if s := w.state(config, "sync."+w.prefix+"-"+sync); !strings.HasPrefix(s, "blocked") {
			t.Errorf("sync %s is %q, want blocked by its source", sync, s)
		}
	}
}

// TestReload checks that a changed file is taken up without a restart, that a
// broken one is refused while the last good one goes on, and that SIGHUP makes
// the daemon read even what did not change.
func TestReload(t *testing.T) {
	w := newWorld(t)
	r := w.repo("app", map[string]string{"app.yaml": documents(namespace(""), configMap("", "a", "1"))})
	config := w.config(oneSync(r, ""))
	d := w.daemon(config)
	w.must("sluice", "sync", "--config", config, w.prefix, "--wait")

	w.config("source \"git\" {")
	w.eventually(time.Minute, "the broken configuration is refused", func() bool {
		return w.count(config, "bad_configuration") == 1
	})
	if text := d.logText(); !strings.Contains(text, "sluice.hcl:5:") {
		t.Errorf("the refusal does not name the place:\n%s", text)
	}
	d.signal(syscall.SIGHUP)
	w.eventually(time.Minute, "the broken configuration is refused again", func() bool {
		return w.count(config, "bad_configuration") == 2
	})
	r.commit(map[string]string{"app.yaml": documents(namespace(""), configMap("", "a", "2"))})
	w.eventually(time.Minute, "the last good configuration goes on", func() bool {
		return w.must("kubectl", "-n", w.prefix, "get", "configmap", "a", "-o", "jsonpath={.data.key}") == "2"
	})

	w.config(oneSync(r, "") + oneSyncNamed(w.prefix+"-second", "a"))
	w.eventually(time.Minute, "the new sync is there", func() bool {
		return w.state(config, "sync."+w.prefix+"-second") != "no such node" && w.count(config, "reloaded") == 1
	})
	d.signal(syscall.SIGHUP)
	w.eventually(time.Minute, "the unchanged configuration is read again", func() bool {
		return w.count(config, "reloaded") == 2
	})
	if n := w.count(config, "bad_configuration"); n != 2 {
		t.Errorf("a good configuration was refused: %d refusals, want 2", n)
	}
	d.alive()
}

// count returns how many of the daemon's events have the reason.
func (w *world) count(config, reason string) int {
	w.t.Helper()
	n := 0
	for line := range strings.Lines(w.must("sluice", "events", "--config", config, "--limit", "1000", "-o", "json")) {
		var e struct{ Reason string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			w.t.Fatalf("%v: %s", err, line)
		}
		if e.Reason == reason {
			n++
		}
	}
	return n
}

func oneSyncNamed(name, path string) string {
	return fmt.Sprintf("sync %q {\n  source = source.git.app\n  paths = [%q]\n}\n", name, path)
}

// TestSuspend checks that a suspended sync rests, says why, and goes on.
func TestSuspend(t *testing.T) {
	w := newWorld(t)
	r := w.repo("app", map[string]string{"app.yaml": documents(namespace(""), configMap("", "a", "1"))})
	config := w.config(oneSync(r, ""))
	d := w.daemon(config)
	w.must("sluice", "sync", "--config", config, w.prefix, "--wait")
	w.must("sluice", "suspend", "--config", config, "sync."+w.prefix, "--reason", "database migration")
	r.commit(map[string]string{"app.yaml": documents(namespace(""), configMap("", "a", "2"))})
	if s := w.state(config, "sync."+w.prefix); !strings.Contains(s, "suspended") || !strings.Contains(s, "database migration") {
		t.Errorf("state is %q", s)
	}

	d.stop()
	w.daemon(config) // a suspension outlives a restart
	if s := w.state(config, "sync."+w.prefix); !strings.Contains(s, "database migration") {
		t.Errorf("after a restart the state is %q", s)
	}
	w.must("sluice", "resume", "--config", config, "sync."+w.prefix)
	w.eventually(time.Minute, "the resumed sync catches up", func() bool {
		return w.must("kubectl", "-n", w.prefix, "get", "configmap", "a", "-o", "jsonpath={.data.key}") == "2"
	})
}
