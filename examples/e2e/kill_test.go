package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestKilledAtEachStep kills the daemon with SIGKILL at each write it makes to
// the cluster, in turn, starts it again, and checks that the cluster converges
// to the newest commit, that nothing is orphaned, and that no plugin process
// outlives the daemon.
func TestKilledAtEachStep(t *testing.T) {
	w := newWorld(t)
	k := w.killing()
	d := w.daemon(k.config)
	var plugins map[string]int
	k.atEachWrite(func() func() {
		plugins = w.plugins(k.config)
		return func() { _ = d.cmd.Process.Kill() }
	}, func() {
		err := <-d.done
		d.done <- err
		w.noProcesses(plugins)
		d = w.daemon(k.config)
	})
}

// TestPluginKilledAtEachStep does the same to the process of the applier: the
// daemon goes on with a new one.
func TestPluginKilledAtEachStep(t *testing.T) {
	w := newWorld(t)
	k := w.killing()
	d := w.daemon(k.config)
	var before int
	k.atEachWrite(func() func() {
		before = w.plugins(k.config)["kubernetes"]
		return func() { _ = syscall.Kill(before, syscall.SIGKILL) }
	}, func() {
		w.eventually(time.Minute, "the daemon starts the applier again", func() bool {
			now := w.plugins(k.config)["kubernetes"]
			return now != 0 && now != before
		})
		if live(before) {
			t.Errorf("the killed process %d is still there", before)
		}
	})
	d.alive()
}

// killing is a sync whose writes to the cluster are counted.
type killing struct {
	w      *world
	proxy  *apiProxy
	repo   *repo
	config string
}

func (w *world) killing() *killing {
	w.t.Helper()
	k := &killing{w: w, proxy: w.throughProxy(), repo: w.repo("app", map[string]string{"ns.yaml": namespace("")})}
	k.config = w.config(oneSync(k.repo, "prune { max = \"100%\" }"))
	w.env = append(w.env, "KUBECONFIG="+k.proxy.kubeconfig)
	return k
}

// atEachWrite pushes commits that add, change and remove an object. It calls
// what prepare returns at the first write for the first commit, at the second
// for the second, and so on, until a commit takes fewer writes than that. Each
// time, it calls after, and waits until the commit is applied all the same.
func (k *killing) atEachWrite(prepare func() (kill func()), after func()) {
	w := k.w
	w.t.Helper()
	w.must("sluice", "sync", "--config", k.config, w.prefix, "--wait")
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
		commit := k.commit(step)
		if !k.waitHit(hit, step, commit) {
			if step < 4 {
				w.t.Fatalf("a commit that adds, changes and removes an object took fewer than %d writes", step)
			}
			w.t.Logf("killed at each of %d writes", step-1)
			return
		}
		after()
		w.eventually(time.Minute, fmt.Sprintf("convergence after a kill at write %d", step), func() bool { return k.done(step, commit) })
	}
}

// commit adds, changes and removes an object.
func (k *killing) commit(step int64) string {
	files := map[string]string{
		"changed.yaml":                   configMap("", "changed", fmt.Sprint(step)),
		fmt.Sprintf("new-%d.yaml", step): configMap("", fmt.Sprintf("new-%d", step), "x"),
	}
	if step > 1 {
		files[fmt.Sprintf("new-%d.yaml", step-1)] = ""
	}
	return k.repo.commit(files)
}

// waitHit reports whether there was a kill before the commit was applied
// completely.
func (k *killing) waitHit(hit <-chan struct{}, step int64, commit string) bool {
	k.w.t.Helper()
	killed := false
	k.w.eventually(time.Minute, "the commit is applied, or there was a kill", func() bool {
		select {
		case <-hit:
			killed = true
			return true
		default:
			return k.done(step, commit)
		}
	})
	return killed
}

// done reports whether the cluster holds commit number step, and the daemon
// says so.
func (k *killing) done(step int64, commit string) bool {
	return k.w.converged(step) && k.w.ready(k.config, commit)
}

// converged reports whether the cluster holds exactly what commit number step
// declares.
func (w *world) converged(step int64) bool {
	out := w.run("kubectl", "-n", w.prefix, "get", "configmaps", "-o", "jsonpath={range .items[*]}{.metadata.name}={.data.key} {end}").out
	want := map[string]bool{fmt.Sprintf("changed=%d", step): true, fmt.Sprintf("new-%d=x", step): true}
	for _, item := range strings.Fields(out) {
		switch {
		case want[item]:
			delete(want, item)
		case strings.HasPrefix(item, "new-") || strings.HasPrefix(item, "changed="):
			return false
		}
	}
	return len(want) == 0
}

// plugins returns the process of each running plugin of the daemon.
func (w *world) plugins(config string) map[string]int {
	w.t.Helper()
	var list struct {
		Plugins []struct {
			Plugin string
			PID    int
		}
	}
	if err := json.Unmarshal([]byte(w.must("sluice", "plugin", "list", "--config", config, "-o", "json")), &list); err != nil {
		w.t.Fatal(err)
	}
	pids := map[string]int{}
	for _, p := range list.Plugins {
		if live(p.PID) {
			pids[p.Plugin] = p.PID
		}
	}
	return pids
}

// noProcesses checks that the plugins of a daemon ended with it.
func (w *world) noProcesses(plugins map[string]int) {
	w.t.Helper()
	if plugins["git"] == 0 || plugins["kubernetes"] == 0 {
		w.t.Fatalf("the daemon did not run both of its plugins: %v", plugins)
	}
	w.eventually(10*time.Second, fmt.Sprintf("no plugin outlives its daemon: %v", plugins), func() bool {
		for _, pid := range plugins {
			if live(pid) {
				return false
			}
		}
		return true
	})
}

// live reports whether pid is a process of ours that runs. Everybody may read
// the stat of a process, unlike its environment; it looks like "7 (name) S 1".
func live(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, ours := strings.Cut(string(stat), " (sluice-")
	return err == nil && ours && !strings.Contains(rest, ") Z ")
}
