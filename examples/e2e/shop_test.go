package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// shop is a site in which workloads of every kind run.
type shop struct {
	site
	applier  string
	repo     *repo
	settings string // of images
}

func newShop(t *testing.T) *shop {
	t.Helper()
	w := newWorld(t)
	s := &shop{site: site{world: w, reg: w.registry()}, settings: `interval = "10s"`}
	seedShop(s.reg)
	s.applier = w.only("")
	s.repo = w.repo("shop", shopManifests())
	s.configure()
	s.start()
	s.sluice("sync", w.prefix, "--wait")
	w.eventually(time.Minute, "everything is rolled out", func() bool {
		table := s.sluice("workloads", "-n", w.prefix)
		return !strings.Contains(table, "updating") && !strings.Contains(table, "started")
	})
	return s
}

func (s *shop) configure() {
	s.t.Helper()
	s.config = s.world.config(s.reg.block(shopHost, "rps = 1000") + fmt.Sprintf(`
registry %q {
  endpoint = "http://127.0.0.1:1"
  insecure = true
}
images { %s }
`, deadHost, s.settings) + s.applier + oneSync(s.repo, ""))
}

// same compares what a command printed with the text that is wanted, in which
// "images-00000" stands for the prefix of the test.
func (s *shop) same(got, want string) {
	s.t.Helper()
	want = strings.ReplaceAll(want, "images-00000", s.prefix)
	if want = strings.Trim(want, "\n"); got != want {
		s.t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// shopHost is the host of the images, as they are named.
const shopHost = "registry.example.com"

// seedShop fills a registry with what the workloads of shopManifests run, and
// newer and older images.
func seedShop(r *registry) {
	r.push("acme/web", 0, "1.0.0", "1.1.0", "1.1.1", "1.2.0", "2.0.0", "nightly")
	r.push("acme/api", 0, "main-a1", "main-b2", "main-c3", "feature-x")
	r.push("acme/migrate", 0, "1", "2")
	r.push("acme/agent", 0, "v1", "v2")
	r.push("acme/db", 0, "14.1", "14.2", "15.0")
	r.push("acme/report", 0, "r1", "r2")
	r.push("acme/once", 0, "1")
	r.push("acme/manual", 0, "1.0", "1.1")
	r.pushBroken("acme/api", "main-z9")
}

// deadHost is a host that nobody serves.
const deadHost = "dead.example.com"

// shopManifests are workloads of every kind.
func shopManifests() map[string]string {
	return map[string]string{
		"web.yaml":    workload("apps/v1", "Deployment", "web", "acme/web:1.1.0", "fluxcd.io/automated=true", "fluxcd.io/tag.web=semver:~1"),
		"api.yaml":    workload("apps/v1", "Deployment", "api", "acme/api:main-a1", "sluice.dev/automated=true", "sluice.dev/tag.api=glob:main-*"),
		"agent.yaml":  workload("apps/v1", "DaemonSet", "agent", "acme/agent:v1", "fluxcd.io/automated=true"),
		"db.yaml":     workload("apps/v1", "StatefulSet", "db", "acme/db:14.1", "fluxcd.io/automated=true", "fluxcd.io/locked=true", "fluxcd.io/tag.db=semver:~14"),
		"report.yaml": workload("batch/v1", "CronJob", "report", "acme/report:r1"),
		"once.yaml":   workload("batch/v1", "Job", "once", "acme/once:1"),
		"manual.yaml": workload("apps/v1", "Deployment", "manual", "acme/manual:1.0"),
		"broken.yaml": workload("apps/v1", "Deployment", "broken", "ACME/Web::1", "fluxcd.io/automated=true"),
		"dead.yaml":   workload("apps/v1", "Deployment", "dead", "//dead.example.com/acme/dead:1", "fluxcd.io/automated=true"),
	}
}

// workload is a manifest of something that runs a container of its name, and
// of web an init container, too. The image is one of shopHost unless it begins
// with //.
func workload(apiVersion, kind, name, image string, annotations ...string) string {
	image, other := strings.CutPrefix(image, "//")
	if !other {
		image = shopHost + "/" + image
	}
	pod := map[string]any{"containers": []any{map[string]any{"name": name, "image": image}}}
	if name == "web" {
		pod["initContainers"] = []any{map[string]any{"name": "migrate", "image": shopHost + "/acme/migrate:1"}}
	}
	labels := map[string]any{"app": name}
	template := map[string]any{"metadata": map[string]any{"labels": labels}, "spec": pod}
	spec := map[string]any{"template": template}
	switch kind {
	case "Job", "CronJob":
		pod["restartPolicy"] = "Never"
	default:
		spec["selector"] = map[string]any{"matchLabels": labels}
	}
	if kind == "CronJob" {
		spec = map[string]any{"schedule": "0 3 * * *", "jobTemplate": map[string]any{"spec": spec}}
	}
	if kind == "StatefulSet" {
		spec["serviceName"] = name
	}
	notes := map[string]string{}
	for _, a := range annotations {
		key, value, _ := strings.Cut(a, "=")
		notes[key] = value
	}
	return string(asJSON(map[string]any{ // which is YAML, too
		"apiVersion": apiVersion, "kind": kind, "spec": spec,
		"metadata": map[string]any{"name": name, "namespace": "NS", "annotations": notes},
	}))
}
