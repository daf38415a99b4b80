package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestImageRules brings out what rules beyond patterns take: pinned digests,
// platforms, ages. Then the registry forgets half of what it had.
func TestImageRules(t *testing.T) {
	t.Parallel()
	u := &updates{site: site{world: newWorld(t)}, blocks: blocks{more: ruleBlocks}}
	u.reg = u.registry()
	u.seedRules()
	u.applier = u.only("")
	u.repo = u.world.repo("app", u.ruleManifests())
	u.configure()
	u.start()
	u.applied()
	u.scan()
	u.quiet(u.repo.head(), "what there is is the newest")
	u.ruled()
	u.moved()
	u.forgetful()
	u.withdrawn()
}

const ruleBlocks = `
image_policy "arm" {
  workloads = ["NS:deployment/arm"]
  policy    = "semver:*"
  platforms = ["linux/arm64"]
}
image_policy "aged" {
  workloads = ["NS:deployment/aged"]
  policy    = "semver:*"
  min_age   = "2h"
}
image_policy "pinned" {
  workloads = ["NS:deployment/pinned", "NS:deployment/lossy"]
  policy    = "semver:*"
}
image_policy "latest" {
  workloads = ["NS:deployment/latest"]
  policy    = "glob:latest"
}
image_policy "newest" {
  workloads = ["NS:deployment/newest"]
  policy    = "glob:*"
}
`

func (u *updates) seedRules() {
	arm := image{tag: "1.0.0", created: epoch, arch: "arm64"}
	u.reg.pushImages("acme/arm", arm)
	for _, name := range []string{"aged", "pinned", "lossy"} {
		u.reg.push("acme/"+name, 0, "1.0.0")
	}
	u.reg.push("acme/lossy", 1, "1.1.0", "1.2.0", "1.3.0", "1.4.0", "1.5.0")
	u.reg.push("acme/newest", 0, "a", "b", "c", "d", "e", "f")
	u.reg.push("acme/latest", 0, "latest")
}

func (u *updates) ruleManifests() map[string]string {
	files := map[string]string{}
	for name, tag := range map[string]string{
		"arm": "1.0.0", "aged": "1.0.0", "lossy": "1.5.0", "newest": "f",
		"pinned": "1.0.0@" + u.reg.digest("acme/pinned", "1.0.0"),
		"latest": "latest@" + u.reg.digest("acme/latest", "latest"),
	} {
		files[name+".yaml"] = deployment("", name, fmt.Sprintf("%s/acme/%s:%s", shopHost, name, tag))
	}
	return files
}

// quiet checks that nothing was committed since a commit, and nothing is about
// to be.
func (u *updates) quiet(since, why string) {
	u.t.Helper()
	u.look()
	if commits := u.repo.commits(since); len(commits) > 0 {
		u.t.Errorf("%d commits, although %s:\n%s", len(commits), why, u.repo.served("log", "-p", since+"..main"))
	}
}

// ruled pushes newer images, some of which the rules refuse.
func (u *updates) ruled() {
	u.t.Helper()
	u.sluice("suspend", "image_automation."+u.prefix)
	before, now := u.repo.head(), time.Now().Truncate(time.Second)
	u.reg.pushImages("acme/arm", image{"1.1.0", epoch.AddDate(0, 0, 1), "arm64"}, image{"1.2.0", epoch.AddDate(0, 0, 2), "amd64"})
	u.reg.pushImages("acme/aged", image{"1.1.0", now.Add(-3 * time.Hour), ""}, image{"1.2.0", now.Add(-time.Hour), ""})
	u.reg.push("acme/pinned", 9, "1.1.0")
	u.sluice("images", "-n", u.prefix, "--scan")
	u.sluice("resume", "image_automation."+u.prefix)
	commit := u.lands(before, 1)[0]
	u.same("the changed lines", strings.Join(u.repo.numstat(commit), ","), "1 1 aged.yaml,1 1 arm.yaml,1 1 pinned.yaml")
	u.same("the newest for arm64", u.runs("arm"), shopHost+"/acme/arm:1.1.0")
	u.same("the newest that is old enough", u.runs("aged"), shopHost+"/acme/aged:1.1.0")
	u.same("the pinned one", u.runs("pinned"), shopHost+"/acme/pinned:1.1.0@"+u.reg.digest("acme/pinned", "1.1.0"))
	for name, want := range map[string]string{"arm": "linux/arm64", "aged": "2h"} {
		if said := u.sluice("images", "why", "-n", u.prefix, "deployment/"+name); !strings.Contains(said, want) || !strings.Contains(said, "1.2.0") {
			u.t.Errorf("why %s has not 1.2.0:\n%s", name, said)
		}
	}
	u.scan()
	u.quiet(commit, "everything is up to date")
}

// moved pushes another image under the tag that is pinned.
func (u *updates) moved() {
	u.t.Helper()
	before := u.repo.head()
	u.reg.push("acme/latest", 20, "latest")
	u.scan()
	commit := u.lands(before, 1)[0]
	u.same("the changed lines", strings.Join(u.repo.numstat(commit), ","), "1 1 latest.yaml")
	u.same("the moved tag", u.runs("latest"), shopHost+"/acme/latest:latest@"+u.reg.digest("acme/latest", "latest"))
}

// forgetful is a registry that lists only the older half of its tags, and later
// all of them again.
func (u *updates) forgetful() {
	u.t.Helper()
	before := u.repo.head()
	u.reg.faults(
		fault{Class: "tags", Path: "acme/lossy", Status: http.StatusOK, Body: `{"name":"acme/lossy","tags":["1.0.0","1.1.0","1.2.0"]}`},
		fault{Class: "tags", Path: "acme/newest", Status: http.StatusOK, Body: `{"name":"acme/newest","tags":["a","b","c"]}`},
	)
	for range 3 {
		u.scan()
	}
	u.quiet(before, "the registry lost the newer half of its tags")
	u.daemon.stop()
	u.start()
	u.applied()
	u.scan()
	u.quiet(before, "a restart makes nothing of tags that are gone")
	u.reg.faults()
	for range 2 {
		u.scan()
	}
	u.quiet(before, "the tags came back")
}

// withdrawn deletes the newest images for good.
func (u *updates) withdrawn() {
	u.t.Helper()
	before := u.repo.head()
	u.reg.remove("acme/lossy", "1.5.0")
	u.reg.remove("acme/newest", "f", "e", "d")
	u.reg.remove("acme/pinned", "1.1.0")
	for range 3 {
		u.scan()
	}
	u.quiet(before, "the newest images were withdrawn")
	u.reg.push("acme/lossy", 30, "1.6.0")
	u.scan()
	commit := u.lands(before, 1)[0]
	u.same("the changed lines", strings.Join(u.repo.numstat(commit), ","), "1 1 lossy.yaml")
	u.same("what is newer still", u.runs("lossy"), shopHost+"/acme/lossy:1.6.0")
}
