package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestHelmReleaseDeleted deletes HelmReleases while the daemon runs and while
// it is down: their releases are uninstalled, and only theirs, unless they are
// to be kept.
func TestHelmReleaseDeleted(t *testing.T) {
	w := newWorld(t)
	t.Parallel()
	w.definitions()
	w.namespaces("")
	r := w.repo("app", trees(webChart("web", "1.0.0", nil)))
	config := w.config(followed(""))
	kept := strings.Replace(r.gitRelease("kept", "web", ""), "metadata:\n", "metadata:\n  annotations: {sluice.dev/on-remove: keep}\n", 1)
	w.apply(r.gitRelease("running", "web", ""), r.gitRelease("down", "web", ""), kept)
	d := w.daemon(config)
	w.eventually(time.Minute, "all are installed", func() bool { return w.allReady(config, "running", "down", "kept") })
	if f := w.resource(w.prefix, "hr/running").Metadata.Finalizers; !slices.Contains(f, "sluice.dev/release") {
		t.Errorf("the finalizers are %v", f)
	}

	w.must("kubectl", "-n", w.prefix, "delete", "hr", "running", "kept", "--timeout=30s")
	w.eventually(time.Minute, "the release of the deleted resource is gone", func() bool { return w.history(w.prefix, "running") == nil })
	if w.exists(w.prefix, "service/running") {
		t.Error("an object of the deleted release is still there")
	}
	d.stop()
	w.must("kubectl", "-n", w.prefix, "delete", "hr", "down", "--wait=false")
	if w.deployed(w.prefix, "down") != 1 {
		t.Error("the release went while the daemon was down")
	}
	w.daemon(config)
	w.eventually(time.Minute, "the release that was deleted meanwhile is gone", func() bool {
		return w.history(w.prefix, "down") == nil && !w.exists(w.prefix, "hr/down")
	})
	if w.deployed(w.prefix, "kept") != 1 || w.value("kept") != "hello" {
		t.Errorf("the release that was to be kept has %+v", w.history(w.prefix, "kept"))
	}
	w.eventually(30*time.Second, "status knows none of them", func() bool { return len(w.releases(config)) == 0 })
}

// TestHelmReleasePruned: a HelmRelease that goes from the synced repository
// takes its release along.
func TestHelmReleasePruned(t *testing.T) {
	w := newWorld(t)
	t.Parallel()
	w.definitions()
	w.namespaces("")
	r := w.repo("app", trees(webChart("web", "1.0.0", nil)))
	r.commit(map[string]string{"deploy/one.yaml": r.gitRelease("one", "web", ""), "deploy/two.yaml": r.gitRelease("two", "web", "")})
	config := w.config(followed("") + r.source() + "sync \"NS\" {\n  source = source.git.app\n  paths = [\"deploy\"]\n  prune { max = \"100%\" }\n}\n")
	w.daemon(config)
	w.eventually(time.Minute, "both are installed", func() bool { return w.allReady(config, "one", "two") })
	r.commit(map[string]string{"deploy/one.yaml": ""})
	w.eventually(time.Minute, "the pruned one is uninstalled", func() bool {
		return !w.exists(w.prefix, "hr/one") && w.history(w.prefix, "one") == nil && !w.exists(w.prefix, "configmap/one")
	})
	if n := w.deployed(w.prefix, "two"); n != 1 {
		t.Errorf("the other release has revision %d, want 1", n)
	}
}

// TestTwoHelmReleasesOfOne: of two resources that declare one release, the one
// that has it goes on, and the other one names it. Deleting that one leaves the
// release alone.
func TestTwoHelmReleasesOfOne(t *testing.T) {
	w := newWorld(t)
	t.Parallel()
	w.definitions()
	w.namespaces("")
	r := w.repo("app", trees(webChart("web", "1.0.0", nil)))
	config := w.config(followed(""))
	w.daemon(config)
	w.apply(r.gitRelease("web", "web", "values: {greeting: first}"))
	w.eventually(time.Minute, "the first is installed", func() bool { return w.value("web") == "first" && w.deployed(w.prefix, "web") == 1 })
	w.apply(strings.Replace(r.gitRelease("web", "web", "values: {greeting: second}"), "name: web\n", "name: second\n", 1))
	w.eventually(time.Minute, "the second fails, and names the first", func() bool {
		r := w.resource(w.prefix, "hr/second")
		return strings.HasPrefix(r.condition("Released"), "False") && strings.Contains(r.condition("Released"), w.prefix+"/web")
	})
	w.must("kubectl", "-n", w.prefix, "delete", "hr", "second", "--timeout=30s")
	if n := w.deployed(w.prefix, "web"); n != 1 || w.value("web") != "first" {
		t.Errorf("revision %d with %q: the second resource changed the release of the first", n, w.value("web"))
	}
}

// TestHelmNamespaceDeleted: a namespace with a HelmRelease can be deleted.
func TestHelmNamespaceDeleted(t *testing.T) {
	w := newWorld(t)
	t.Parallel()
	w.definitions()
	w.namespaces("")
	r := w.repo("app", trees(webChart("web", "1.0.0", nil)))
	config := w.config(followed(""))
	d := w.daemon(config)
	w.apply(r.gitRelease("web", "web", ""))
	w.eventually(time.Minute, "it is installed", func() bool { return w.allReady(config, "web") })
	w.must("kubectl", "delete", "namespace", w.prefix, "--timeout=60s")
	w.eventually(time.Minute, "status does not know it any more", func() bool { return len(w.releases(config)) == 0 })
	d.alive()
}

// TestHelmDefinitionDeleted deletes the definition of HelmReleases: their
// releases stay, and go on where the resources come back, unless the
// configuration wants them to go along.
func TestHelmDefinitionDeleted(t *testing.T) {
	w := newWorld(t)
	t.Parallel()
	w.ownCluster()
	w.definitions()
	w.namespaces("")
	r := w.repo("app", trees(webChart("web", "1.0.0", nil)))
	config := w.config("applier \"kubernetes\" \"c\" {}\nhelm \"helm\" \"c\" {}\n") // within namespaces, definitions are looked for once a minute
	d := w.daemon(config)
	w.apply(r.gitRelease("web", "web", ""))
	w.eventually(time.Minute, "it is installed", func() bool { return w.allReady(config, "web") })
	w.must("kubectl", "delete", "crd", "helmreleases.helm.fluxcd.io", "--timeout=60s")
	w.eventually(time.Minute, "status does not know it any more", func() bool { return len(w.releases(config)) == 0 })
	if w.deployed(w.prefix, "web") != 1 || w.value("web") != "hello" {
		t.Fatalf("with its definition the release went: %+v", w.history(w.prefix, "web"))
	}

	w.must("kubectl", "apply", "--server-side", "-f", w.dir+"/definitions.yaml")
	w.must("kubectl", "wait", "--for", "condition=Established", "-f", w.dir+"/definitions.yaml", "--timeout", "1m")
	w.apply(r.gitRelease("web", "web", "values: {greeting: again}"))
	w.eventually(time.Minute, "the resource that came back has its release again", func() bool { return w.value("web") == "again" && w.deployed(w.prefix, "web") == 2 })

	d.stop()
	w.config("applier \"kubernetes\" \"c\" {}\nhelm \"helm\" \"c\" {\n  uninstall_on_crd_delete = true\n}\n")
	d = w.daemon(config)
	w.eventually(time.Minute, "it is looked after again", func() bool { return w.allReady(config, "web") })
	w.must("kubectl", "delete", "crd", "helmreleases.helm.fluxcd.io", "--timeout=60s")
	w.eventually(time.Minute, "the release goes with the definition", func() bool { return w.history(w.prefix, "web") == nil && w.value("web") == "" })
	d.alive()
}

// TestHelmBlockRemoved removes release blocks while the daemon runs and while
// it is down. They have a grace of a minute, which a person ends.
func TestHelmBlockRemoved(t *testing.T) {
	w := newWorld(t)
	t.Parallel()
	w.namespaces("")
	r := w.repo("app", trees(webChart("web", "1.0.0", nil)))
	start := within("") + r.source() + releaseBlock("stays", "web", "")
	down := releaseBlock("down", "web", "")
	config := w.config(start + down + releaseBlock("running", "web", "") + releaseBlock("kept", "web", `on_remove = "keep"`))
	d := w.daemon(config)
	w.eventually(time.Minute, "all are installed", func() bool { return w.allReady(config, "stays", "down", "running", "kept") })

	w.config(start + down)
	leaves := func(name string) {
		t.Helper()
		w.eventually(time.Minute, "status says when it is uninstalled", func() bool {
			return strings.Contains(w.run("sluice", "status", "--config", config, "release."+name).out, "unless it is declared again")
		})
		w.must("sluice", "sync", "--config", config, "release."+name)
		w.eventually(time.Minute, "it is uninstalled", func() bool { return w.history(w.prefix, name) == nil && w.value(name) == "" })
	}
	leaves("running")
	d.stop()
	w.config(start)
	w.daemon(config)
	leaves("down")
	w.eventually(time.Minute, "the one that is left", func() bool { return w.allReady(config, "stays") && len(w.releases(config)) == 1 })
	for _, name := range []string{"stays", "kept"} {
		if n := w.deployed(w.prefix, name); n != 1 {
			t.Errorf("%s has revision %d, want 1", name, n)
		}
	}
}

// TestHelmReleaseRenamed: a declaration whose release has another name now is
// refused, and told both names, until it may be installed anew.
func TestHelmReleaseRenamed(t *testing.T) {
	w := newWorld(t)
	t.Parallel()
	w.namespaces("")
	r := w.repo("app", trees(webChart("web", "1.0.0", nil)))
	block := func(more string) string {
		return w.config(within("") + r.source() + releaseBlock("web", "web", more))
	}
	config := block(`name = "old"`)
	w.daemon(config)
	w.eventually(time.Minute, "it is installed", func() bool { return w.allReady(config, "old") })
	block(`name = "new"`)
	w.eventually(time.Minute, "it is refused, and told both names", func() bool {
		s := w.state(config, "release.web")
		return strings.HasPrefix(s, "failed") && strings.Contains(s, w.prefix+"/old") && strings.Contains(s, w.prefix+"/new") && strings.Contains(s, "on_move")
	})
	if w.deployed(w.prefix, "old") != 1 || w.history(w.prefix, "new") != nil {
		t.Error("it was moved without being allowed")
	}
	block("name = \"new\"\non_move = \"reinstall\"")
	w.eventually(time.Minute, "it has moved", func() bool {
		return w.deployed(w.prefix, "new") == 1 && w.history(w.prefix, "old") == nil && w.value("old") == "" && w.allReady(config, "new")
	})
}

// allReady reports whether the daemon knows releases of these names that are as
// they are declared.
func (w *world) allReady(config string, names ...string) bool {
	w.t.Helper()
	known := w.releases(config)
	return !slices.ContainsFunc(names, func(name string) bool {
		r := known[name]
		return fmt.Sprintf("%s %s", r.State, r.Release) != "ready in_sync"
	})
}
