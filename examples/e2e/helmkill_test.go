package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestHelmKilledAtEachStep kills the daemon with SIGKILL at each write to the
// cluster while one release is installed, another one upgraded and a third one
// uninstalled: it always comes to what is declared, by one chain of revisions.
func TestHelmKilledAtEachStep(t *testing.T) {
	w := newWorld(t)
	t.Parallel()
	k := w.killingReleases()
	d := w.daemon(k.configured(0))
	k.atEachWrite(func() func() {
		return func() { _ = d.cmd.Process.Kill() }
	}, func() {
		err := <-d.done
		d.done <- err
		d = w.daemon(k.config)
	})
}

// TestHelmPluginKilledAtEachStep does the same to the process of the helm
// plugin: the daemon goes on with a new one.
func TestHelmPluginKilledAtEachStep(t *testing.T) {
	w := newWorld(t)
	t.Parallel()
	k := w.killingReleases()
	d := w.daemon(k.configured(0))
	var pid int
	k.atEachWrite(func() func() {
		w.eventually(time.Minute, "there is a new plugin process", func() bool {
			now := w.plugins(k.config)["helm"]
			started := now != 0 && now != pid
			if started {
				pid = now
			}
			return started
		})
		killed := pid
		return func() { _ = syscall.Kill(killed, syscall.SIGKILL) }
	}, func() {})
	d.alive()
}

// killingReleases are releases whose writes to the cluster are counted.
type killingReleases struct {
	w      *world
	proxy  *apiProxy
	repo   *repo
	config string
}

func (w *world) killingReleases() *killingReleases {
	w.t.Helper()
	w.namespaces("")
	k := &killingReleases{w: w, proxy: w.throughProxy(), repo: w.repo("app", trees(webChart("web", "1.0.0", nil)))}
	w.env = append(w.env, "KUBECONFIG="+k.proxy.kubeconfig)
	return k
}

// configured declares the releases of a step: one that is upgraded, one that is
// new; that of the step before is gone.
func (k *killingReleases) configured(step int64) string {
	values := fmt.Sprintf("interval = \"3s\"\nvalues = { greeting = \"%d\" }", step)
	k.config = k.w.config(within("") + k.repo.source() + releaseBlock("same", "web", values) + releaseBlock(fmt.Sprintf("new-%d", step), "web", values))
	return k.config
}

// atEachWrite goes through the steps, and checks the chains of revisions.
func (k *killingReleases) atEachWrite(prepare func() (kill func()), after func()) {
	w := k.w
	w.t.Helper()
	w.eventually(time.Minute, "the first releases", func() bool { return k.done(0) })
	k.proxy.atEachWrite(w, 10, killSteps{prepare: prepare, after: after, change: func(step int64) { k.configured(step) }, done: func(step int64) bool {
		return k.done(step)
	}, check: func(step int64) {
		w.oneChain(w.prefix, "same")
		w.oneChain(w.prefix, fmt.Sprintf("new-%d", step))
	}})
}

// killSteps are changes of what is declared, with a kill in each.
type killSteps struct {
	prepare func() (kill func())
	change  func(step int64)
	after   func()                // a kill
	done    func(step int64) bool // the cluster is as declared
	check   func(step int64)
}

// atEachWrite kills at the first write of the first step, at the second of the
// second, and so on, until a step takes fewer writes, which are to be least.
// After each it waits until the step is done all the same.
func (p *apiProxy) atEachWrite(w *world, least int64, s killSteps) {
	w.t.Helper()
	for step := int64(1); ; step++ {
		kill := s.prepare()
		var writes atomic.Int64
		hit := make(chan struct{})
		p.intercept(func(http.ResponseWriter, *http.Request) bool {
			if writes.Add(1) == step {
				kill()
				close(hit)
			}
			return false
		})
		s.change(step)
		killed := false
		w.eventually(time.Minute, fmt.Sprintf("step %d is done, or there was a kill", step), func() bool {
			select {
			case <-hit:
				killed = true
				return true
			default:
				return s.done(step)
			}
		})
		if !killed {
			if step <= least {
				w.t.Fatalf("step %d took fewer than %d writes", step, least)
			}
			w.t.Logf("killed at each of %d writes", step-1)
			return
		}
		s.after()
		w.eventually(time.Minute, fmt.Sprintf("all is as declared after a kill at write %d", step), func() bool { return s.done(step) })
		s.check(step)
	}
}

// done reports whether the cluster holds exactly the releases of a step, and
// the daemon says so.
func (k *killingReleases) done(step int64) bool {
	name, value := fmt.Sprintf("new-%d", step), fmt.Sprint(step)
	states := map[string]string{}
	for name, r := range k.w.releases(k.config) {
		states[name] = r.State + " " + r.Release
	}
	if old := fmt.Sprintf("new-%d", step-1); states[old] != "" { // nobody waits for its grace to end; the daemon may be down
		k.w.run("sluice", "sync", "--config", k.config, "release."+old)
	}
	if len(states) != 2 || states["same"] != "ready in_sync" || states[name] != "ready in_sync" {
		return false
	}
	out := k.w.run("kubectl", "-n", k.w.prefix, "get", "configmaps", "-o", "jsonpath={range .items[*]}{.metadata.name}={.data.key} {end}").out
	got := strings.ReplaceAll(out, "kube-root-ca.crt= ", "")
	return got == fmt.Sprintf("%s=%s same=%[2]s ", name, value)
}

// TestHelmKilledInRollback kills the daemon at each write of an upgrade that
// fails and is rolled back: what was good is there in the end, and the upgrade
// is given up.
func TestHelmKilledInRollback(t *testing.T) {
	w := newWorld(t)
	t.Parallel()
	w.namespaces("")
	proxy := w.throughProxy()
	r := w.repo("app", trees(webChart("web", "1.0.0", map[string]string{"templates/bad.yaml": badIfTold})))
	block := func(values string) string {
		return w.config(within("") + r.source() + releaseBlock("web", "web", "skip_openapi = true\n  values = { "+values+" }\n  on_failure { retries = 0 }"))
	}
	config := block(`greeting = "good"`)
	w.env = append(w.env, "KUBECONFIG="+proxy.kubeconfig)
	d := w.daemon(config)
	w.eventually(time.Minute, "the install", func() bool { return w.allReady(config, "web") })
	last := 1
	proxy.atEachWrite(w, 6, killSteps{
		prepare: func() func() {
			last = w.deployed(w.prefix, "web")
			return func() { _ = d.cmd.Process.Kill() }
		},
		change: func(step int64) { block(fmt.Sprintf("greeting = \"%d\"\n  bad = true", step)) },
		after: func() {
			err := <-d.done
			d.done <- err
			d = w.daemon(config)
		},
		done: func(int64) bool {
			s := w.run("sluice", "status", "--config", config, "release.web").out
			return w.deployed(w.prefix, "web") > last && w.value("web") == "good" && strings.Contains(s, "rolled back")
		},
		check: func(int64) { w.oneChain(w.prefix, "web") },
	})
}

// TestHelmKilledInHook kills the daemon while a hook of an upgrade runs: the
// upgrade is done again, and there is no second job beside the first.
func TestHelmKilledInHook(t *testing.T) {
	w := newWorld(t)
	t.Parallel()
	w.namespaces("")
	slow := webChart("web", "1.0.0", map[string]string{"templates/hook.yaml": endlessHook("post-upgrade")})
	r := w.repo("app", trees(slow))
	block := func(greeting string) string {
		return w.config(within("") + r.source() + releaseBlock("web", "web", fmt.Sprintf("values = { greeting = %q }", greeting)))
	}
	config := block("one")
	d := w.daemon(config)
	w.must("sluice", "sync", "--config", config, "release.web", "--wait")
	block("two")
	w.eventually(time.Minute, "the hook runs", func() bool { return w.exists(w.prefix, "job/web-post-upgrade") })
	if all := w.history(w.prefix, "web"); len(all) != 2 || all[1].Status != "pending-upgrade" {
		t.Errorf("while the hook runs: %+v", all)
	}
	first := w.uid("job/web-post-upgrade")
	d.kill()
	w.daemon(config)
	w.eventually(time.Minute, "the hook runs again", func() bool { uid := w.uid("job/web-post-upgrade"); return uid != "" && uid != first })
	w.must("kubectl", "-n", w.prefix, "patch", "job", "web-post-upgrade", "--type=merge", "-p", `{"spec":{"suspend":false}}`)
	w.eventually(time.Minute, "the upgrade is done", func() bool {
		return w.deployed(w.prefix, "web") > 1 && strings.HasPrefix(w.state(config, "release.web"), "ready")
	})
	w.oneChain(w.prefix, "web")
	if n := len(w.history(w.prefix, "web")); n > 3 {
		t.Errorf("%d revisions for an install and an upgrade that was interrupted once, want at most 3", n)
	}
}

// uid of an object in NS; empty if it is not there.
func (w *world) uid(object string) string {
	w.t.Helper()
	return w.run("kubectl", "-n", w.prefix, "get", object, "-o", "jsonpath={.metadata.uid}").out
}
