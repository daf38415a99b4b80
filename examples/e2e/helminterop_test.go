package e2e

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestHelmCommandOnOurs: the helm command lists, shows, rolls back and
// uninstalls what the daemon has installed; the daemon says who did it, and
// returns to what is declared.
func TestHelmCommandOnOurs(t *testing.T) {
	w := newWorld(t)
	t.Parallel()
	w.namespaces("")
	r := w.repo("app", trees(webChart("web", "1.2.3", nil)))
	config := w.config(within("") + r.source() + releaseBlock("web", "web", `values = { greeting = "one" }`))
	w.daemon(config)
	w.must("sluice", "sync", "--config", config, "release.web", "--wait")
	if got := w.value("web"); got != "one" {
		t.Fatalf("the ConfigMap has %q, want what the values say", got)
	}
	w.config(within("") + r.source() + releaseBlock("web", "web", "interval = \"2s\"\nvalues = { greeting = \"two\" }"))
	w.eventually(time.Minute, "the upgrade", func() bool { return w.deployed(w.prefix, "web") == 2 })
	if out := w.helm(w.prefix, "list"); !strings.Contains(out, "web-1.2.3") || !strings.Contains(out, "deployed") {
		t.Errorf("helm list:\n%s", out)
	}
	if out := w.helm(w.prefix, "get", "values", "web"); !strings.Contains(out, "greeting: two") {
		t.Errorf("helm get values:\n%s", out)
	}

	w.helm(w.prefix, "rollback", "web", "1")
	w.eventually(time.Minute, "what is declared is there again", func() bool {
		return w.deployed(w.prefix, "web") == 4 && w.value("web") == "two"
	})
	if n := len(w.events(config, "release.web", "by hand, or with the helm command")); n == 0 {
		t.Errorf("no event says that revision 3 was not the daemon's:\n%s", w.must("sluice", "events", "--config", config, "--limit", "100"))
	}

	w.helm(w.prefix, "uninstall", "web")
	w.eventually(time.Minute, "it is installed again", func() bool { return w.deployed(w.prefix, "web") == 1 && w.value("web") == "two" })
	w.oneChain(w.prefix, "web")
}

// TestOursOnHelmCommand: what the helm command has installed is taken over only
// where that is allowed.
func TestOursOnHelmCommand(t *testing.T) {
	w := newWorld(t)
	t.Parallel()
	w.namespaces("")
	r := w.repo("app", trees(webChart("web", "1.0.0", nil)))
	w.helm(w.prefix, "install", "web", filepath.Join(r.dir, "charts/web"), "--set", "greeting=theirs")
	config := w.config(within("") + r.source() + releaseBlock("web", "web", `values = { greeting = "ours" }`))
	w.daemon(config)
	w.eventually(time.Minute, "it is refused, and told what to do", func() bool {
		s := w.state(config, "release.web")
		return strings.HasPrefix(s, "failed") && strings.Contains(s, "adopt = true")
	})
	if got, n := w.value("web"), w.deployed(w.prefix, "web"); got != "theirs" || n != 1 {
		t.Errorf("revision %d with %q: it was touched without being adopted", n, got)
	}
	if l := w.releases(config)["web"]; l.Release != "unmanaged" {
		t.Errorf("helm list shows %+v, want unmanaged", l)
	}

	w.config(within("") + r.source() + releaseBlock("web", "web", "adopt = true\nvalues = { greeting = \"ours\" }"))
	w.eventually(time.Minute, "it is taken over", func() bool {
		return w.deployed(w.prefix, "web") == 2 && w.value("web") == "ours" && strings.HasPrefix(w.state(config, "release.web"), "ready")
	})
	w.oneChain(w.prefix, "web")
}

// TestHelmCommandKilled: a helm command that dies in an upgrade leaves the
// release locked. It is unlocked after the release's timeout, not before: the
// command could still be at work.
func TestHelmCommandKilled(t *testing.T) {
	w := newWorld(t)
	t.Parallel()
	w.namespaces("")
	slow := webChart("slow", "1.0.0", map[string]string{"templates/hook.yaml": endlessHook("pre-upgrade")})
	r := w.repo("app", trees(webChart("web", "1.0.0", nil), slow))
	config := w.config(within("") + r.source() + releaseBlock("web", "web", "interval = \"1s\"\ntimeout = \"8s\""))
	w.daemon(config)
	w.must("sluice", "sync", "--config", config, "release.web", "--wait")

	cmd := w.helmProcess(w.prefix, "upgrade", "web", filepath.Join(r.dir, "charts/slow"), "--set", "greeting=theirs")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.eventually(time.Minute, "the command's hook runs", func() bool { return w.exists(w.prefix, "job/web-pre-upgrade") })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	if all := w.history(w.prefix, "web"); len(all) != 2 || all[1].Status != "pending-upgrade" {
		t.Fatalf("the release is not locked: %+v", all)
	}
	w.run("sluice", "sync", "--config", config, "release.web")
	w.eventually(30*time.Second, "the daemon says that it is locked", func() bool {
		return w.releases(config)["web"].Release == "locked"
	})
	w.eventually(time.Minute, "it is unlocked, and as it is declared", func() bool {
		return w.deployed(w.prefix, "web") > 2 && w.value("web") == "hello" && strings.HasPrefix(w.state(config, "release.web"), "ready")
	})
	w.oneChain(w.prefix, "web")
}
