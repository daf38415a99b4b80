package images_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/registrytest"
)

// TestRequests counts what scans cost: the figures are the contract.
func TestRequests(t *testing.T) {
	const repositories, tags = 50, 4
	reg := registrytest.Start(t, registrytest.Options{Auth: "token", Users: []registrytest.User{{}}})
	r := start(t, reg, images.Settings{})
	var versions, times []images.Target
	for i := range repositories {
		name := fmt.Sprintf("team/app%d", i)
		reg.PushAll(name, buildsOf(name, tags))
		host := fmt.Sprintf("registry%d.test", i/2)
		versions = append(versions, r.targetAt(host, "shop", name, "1.2.0", "semver:~1"))
		times = append(times, r.targetAt(host, "shop", name, "1.2.0", "glob:1.*"))
	}
	step := func(name string, want map[string]int, do func()) {
		t.Helper()
		reg.Reset()
		do()
		if diff := cmp.Diff(want, answered(reg)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	step("versions, first", map[string]int{"tags": repositories}, func() { r.scan(versions...) })
	step("versions, poll", map[string]int{"tags": repositories}, func() { r.scan(versions...) })
	step("times, first", map[string]int{"tags": repositories, "manifest-get": repositories * tags * 2, "blob": repositories * tags},
		func() { r.scan(times...) })
	step("times, poll", map[string]int{"tags": repositories}, func() { r.scan(times...) })
	r.restart()
	step("restart", map[string]int{}, func() { r.SetTargets(times); _ = r.view(times[0]) })
	step("times, poll after a restart", map[string]int{"tags": repositories}, func() { r.scan(times...) })
	reg.PushAll("team/app0", buildsOf("team/app0", tags+1)[tags:])
	step("a new build", map[string]int{"tags": repositories, "manifest-get": 2, "blob": 1}, func() { r.scan(times...) })

	v := r.view(times[0])
	if !v.Complete || v.Tags[0].Name != "1.4.0" || v.Tags[0].Created.IsZero() || len(v.Tags[0].Platforms) != 2 {
		t.Errorf("complete %v, newest %+v", v.Complete, v.Tags[0])
	}
	newer, older, known := v.Counts()
	if newer != 2 || older != 2 || !known {
		t.Errorf("%d newer and %d older than what runs, known %v", newer, older, known)
	}
}

// TestSharing: one scan for all that see a repository with one credential.
func TestSharing(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	r := start(t, reg, images.Settings{})
	reg.PushAll("app", builds(3))
	var targets []images.Target
	for i := range 30 {
		targets = append(targets, r.target(fmt.Sprint("ns", i), "app", "1.0.0", "semver:*"))
	}
	reg.Reset()
	results := r.scan(targets...)
	if len(results) != 1 || len(results[0].Targets) != 30 || results[0].Tags != 3 {
		t.Errorf("results %+v", results)
	}
	if got := reg.Count("tags"); got != 1 {
		t.Errorf("%d listings", got)
	}
}
