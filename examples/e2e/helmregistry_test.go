package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestChartsOfRegistry installs charts from a private OCI registry: those of
// release blocks, of a HelmRelease, and what a chart in git depends on. A mirror
// stands in for the registry that they name, and its credentials come from a
// registry_credential block.
func TestChartsOfRegistry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := &site{world: w, reg: w.registry("-auth", "token", "-user", "ann:s3cret")}
	s.reg.pushChart("stable/redis", newChart("redis", "10.3.1", nil), newChart("redis", "10.4.0", nil))
	s.reg.pushChart("stable/mariadb", newChart("mariadb", "7.3.14", map[string]string{
		"templates/config.yaml": strings.Replace(showValues, "{{ .Release.Name }}", "{{ .Release.Name }}-{{ .Chart.Name }}", 1),
	}))
	ghost := newChart("ghost", "9.0.4", map[string]string{
		"Chart.yaml":        "apiVersion: v1\nname: ghost\nversion: 9.0.4\n",
		"requirements.yaml": "dependencies:\n- name: mariadb\n  version: 7.x.x\n  repository: oci://registry.example.com/stable\n",
	})
	r := w.repo("app", ghost.under("charts/ghost"))
	w.definitions()
	logins := filepath.Join(w.dir, "docker.json")
	s.login(logins, "wrong")
	s.config = w.config(w.only("") + fmt.Sprintf(`
source "git" "app" {
  url      = %q
  interval = "1s"
}
helm "helm" "c" {}
mirror "oci://registry.example.com" { to = "oci://%s" }
registry_credential "docker_config" "own" {
  match = ["*"]
  path  = %q
}
release "ghost" {
  namespace = "NS"
  interval  = "2s"
  chart {
    source = source.git.app
    path   = "charts/ghost"
  }
}
release "redis" {
  namespace = "NS"
  interval  = "2s"
  chart {
    repository = "oci://registry.example.com/stable/redis"
    version    = "~10.3"
  }
}
`, r.url, s.reg.Address, logins))
	s.start()
	w.apply(helmRelease("", "newest", "releaseName: newest\nchart:\n  repository: oci://registry.example.com/stable\n  name: redis\n  version: \">=10.0.0\""))
	for _, name := range []string{"ghost", "redis", "newest"} {
		refused := s.waitFor(name, "refused", func(l listed) bool { return l.State == "failed" })
		if !strings.Contains(refused.Reason, s.reg.Address) || strings.Contains(refused.Reason, "wrong") {
			t.Errorf("%s fails with %q, which should name the registry and not the password", name, refused.Reason)
		}
	}
	s.login(logins, "s3cret")
	for name, chart := range map[string]string{"ghost": "ghost-9.0.4", "redis": "redis-10.3.1", "newest": "redis-10.4.0"} {
		s.waitRelease(name, "ready in_sync")
		if got, _ := w.shown(w.prefix, name); got != chart {
			t.Errorf("%s runs %s, want %s", name, got, chart)
		}
	}
	if got, _ := w.shown(w.prefix, "ghost-mariadb"); got != "mariadb-7.3.14" {
		t.Errorf("the dependency is %s", got)
	}
	s.neverTold("s3cret")
	s.quietRegistry()
}

// login writes the file that the credentials of the registry come from.
func (s *site) login(file, password string) {
	s.t.Helper()
	auths := map[string]any{"auths": map[string]any{s.reg.Address: map[string]string{"username": "ann", "password": password}}}
	if err := os.WriteFile(file+".new", asJSON(auths), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		s.t.Fatal(err)
	}
}

// neverTold checks that a secret stands nowhere where it could be read.
func (s *site) neverTold(secret string) {
	s.t.Helper()
	for name, text := range map[string]string{
		"the log": s.daemon.logText(), "events": s.sluice("events", "--limit", "1000"), "status": s.sluice("status", "-o", "json"),
		"helm list": s.sluice("helm", "list", "-o", "json"), "helm resources": s.must("kubectl", "-n", s.prefix, "get", "hr", "-o", "yaml"),
	} {
		if strings.Contains(text, secret) {
			s.t.Errorf("%s has %s:\n%s", name, secret, text)
		}
	}
}

// quietRegistry: archives are fetched once, whatever looks at the releases
// later.
func (s *site) quietRegistry() {
	s.t.Helper()
	s.sluice("sync", "release.ghost", "release.redis", "--wait")
	blobs := map[string]int{}
	for _, q := range s.reg.requests("blob") {
		if q.Status == 200 {
			blobs[q.Path]++
		}
	}
	for path, n := range blobs {
		if n > 1 {
			s.t.Errorf("%s was fetched %d times", path, n)
		}
	}
	if len(blobs) == 0 {
		s.t.Error("the registry has no record of the charts")
	}
}

// TestChartsOverSSH installs a chart by the ssh URL of a forge, as HelmReleases
// of Flux v1 name it: a declared source of that URL, which the helm offers to
// them, has the key, a mirror the place.
func TestChartsOverSSH(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := w.sshServer()
	r := w.repo("charts", newChart("web", "1.0.0", nil).under("charts/web"))
	w.definitions()
	s := &site{world: w}
	s.config = w.config(w.only("") + fmt.Sprintf(`
helm "helm" "c" { charts = source.git.charts }
mirror "ssh://git@github.com/acme" { to = %q }
source "git" "charts" {
  url      = "git@github.com:acme/charts.git"
  branch   = "main"
  interval = "1s"
  ssh {
    key_file    = %q
    known_hosts = %q
  }
}
`, server.url(filepath.Join(w.dir, "git")), server.key, server.knownHosts))
	s.start()
	w.apply(helmRelease("", "web", "releaseName: web\nchart:\n  git: git@github.com:acme/charts.git\n  ref: main\n  path: charts/web\nvalues:\n  greeting: first"))
	s.waitRelease("web", "ready in_sync")
	commit := r.commit(map[string]string{"charts/web/values.yaml": "greeting: hello\ncolor: red\n"})
	s.eventually(time.Minute, "the commit to the chart is released", func() bool {
		_, values := w.shown(w.prefix, "web")
		return values == `{"color":"red","greeting":"first"}`
	})
	s.eventually(time.Minute, "the resource has the commit", func() bool {
		return s.resource(w.prefix, "hr/web").Status.Revision == commit
	})
	if status := s.sluice("status"); strings.Contains(status, "source.git.charts-") {
		t.Errorf("the declared source was not used:\n%s", status)
	}
}
