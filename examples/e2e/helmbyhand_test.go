package e2e

import (
	"strings"
	"testing"
	"time"
)

// TestHelmByHand rolls a release back and uninstalls it by command: the daemon
// leaves it so, also after a restart and when the declaration changes, until it
// is resumed.
func TestHelmByHand(t *testing.T) {
	w := newWorld(t)
	t.Parallel()
	w.namespaces("")
	r := w.repo("app", trees(webChart("web", "1.0.0", nil)))
	block := func(greeting string) string {
		return w.config(within("") + r.source() + releaseBlock("web", "web", "interval = \"1s\"\n  values = { greeting = \""+greeting+"\" }"))
	}
	config := block("one")
	d := w.daemon(config)
	w.eventually(time.Minute, "the install", func() bool { return w.allReady(config, "web") })
	block("two")
	w.eventually(time.Minute, "the upgrade", func() bool { return w.value("web") == "two" && w.allReady(config, "web") })

	w.must("sluice", "helm", "rollback", "web", "1", "--config", config)
	if n := w.deployed(w.prefix, "web"); n != 3 || w.value("web") != "one" {
		t.Fatalf("after the rollback: revision %d with %q", n, w.value("web"))
	}
	d.stop()
	w.daemon(config)
	block("three")
	w.eventually(time.Minute, "the configuration is read", func() bool { return w.count(config, "reloaded") == 1 })
	if s := w.state(config, "release.web"); !strings.HasPrefix(s, "suspended") || !strings.Contains(s, "roll") {
		t.Errorf("after a rollback by hand and a restart the release is %q", s)
	}
	if w.value("web") != "one" {
		t.Errorf("the rollback was undone: %q", w.value("web"))
	}
	w.must("sluice", "resume", "--config", config, "release.web")
	w.eventually(time.Minute, "the declared values", func() bool { return w.value("web") == "three" && w.allReady(config, "web") })

	w.must("sluice", "helm", "uninstall", "web", "--yes", "--config", config)
	if w.history(w.prefix, "web") != nil || !strings.HasPrefix(w.state(config, "release.web"), "suspended") {
		t.Errorf("after uninstalling by hand: %s, %+v", w.state(config, "release.web"), w.history(w.prefix, "web"))
	}
	w.must("sluice", "resume", "--config", config, "release.web")
	w.eventually(time.Minute, "it is installed again", func() bool { return w.value("web") == "three" && w.allReady(config, "web") })
	w.oneChain(w.prefix, "web")
}

// TestHelmHookNeverEnds: an install whose hook does not end is given up at the
// timeout, and tried again, hook and all, later and later: it never counts as
// installed. Once the hook ends, it is.
func TestHelmHookNeverEnds(t *testing.T) {
	w := newWorld(t)
	t.Parallel()
	w.namespaces("")
	r := w.repo("app", trees(webChart("web", "1.0.0", map[string]string{"templates/hook.yaml": endlessHook("pre-install")})))
	config := w.config(within("") + r.source() + releaseBlock("web", "web", "timeout = \"2s\""))
	w.daemon(config)
	var first string
	w.eventually(time.Minute, "the first attempt fails, and names the hook", func() bool {
		if uid := w.uid("job/web-pre-install"); uid != "" && first == "" {
			first = uid
		}
		s := w.state(config, "release.web")
		return strings.HasPrefix(s, "failed") && strings.Contains(s, "web-pre-install")
	})
	w.eventually(time.Minute, "the hook runs again", func() bool {
		uid := w.uid("job/web-pre-install")
		return uid != "" && uid != first
	})
	if w.value("web") != "" || w.deployed(w.prefix, "web") != 0 {
		t.Errorf("it was installed, although its hook had not ended: %+v", w.history(w.prefix, "web"))
	}
	w.config(within("") + r.source() + releaseBlock("web", "web", "timeout = \"1m\""))
	w.eventually(time.Minute, "the hook of the next attempt ends", func() bool {
		w.run("kubectl", "-n", w.prefix, "patch", "job", "web-pre-install", "--type=merge", "-p", `{"spec":{"suspend":false}}`)
		return w.allReady(config, "web")
	})
	w.oneChain(w.prefix, "web")
}
