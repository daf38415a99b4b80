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

// atEachWrite goes through the steps: it calls what prepare returns at the
// first write of the first step, at the second of the second, and so on, until a
// step takes fewer writes. Each time, it calls after, and waits until all is as
// declared.
func (k *killingReleases) atEachWrite(prepare func() (kill func()), after func()) {
	w := k.w
	w.t.Helper()
	w.eventually(time.Minute, "the first releases", func() bool { return k.done(0) })
	for step := int64(1); ; step++ {
		kill := prepare()
		var writes atomic.Int64
		hit := make(chan struct{})
		k.proxy.intercept(func(http.ResponseWriter, *http.Request) bool {
			if writes.Add(1) == step {
				kill()
				close(hit)
			}
			return false
		})
		k.configured(step)
		killed := false
		w.eventually(time.Minute, "the step is done, or there was a kill", func() bool {
			select {
			case <-hit:
				killed = true
				return true
			default:
				return k.done(step)
			}
		})
		if !killed {
			if step < 9 {
				w.t.Fatalf("an install, an upgrade and an uninstall took fewer than %d writes", step)
			}
			w.t.Logf("killed at each of %d writes", step-1)
			return
		}
		after()
		w.eventually(time.Minute, fmt.Sprintf("all is as declared after a kill at write %d", step), func() bool { return k.done(step) })
		w.oneChain(w.prefix, "same")
		w.oneChain(w.prefix, fmt.Sprintf("new-%d", step))
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
	if len(states) != 2 || states["same"] != "ready in_sync" || states[name] != "ready in_sync" {
		return false
	}
	out := k.w.run("kubectl", "-n", k.w.prefix, "get", "configmaps", "-o", "jsonpath={range .items[*]}{.metadata.name}={.data.key} {end}").out
	got := strings.ReplaceAll(out, "kube-root-ca.crt= ", "")
	return got == fmt.Sprintf("%s=%s same=%[2]s ", name, value)
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
