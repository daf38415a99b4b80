package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestReleases changes images and policies by command: each is one commit, or
// none at all.
func TestReleases(t *testing.T) {
	t.Parallel()
	u := newReleases(t)
	u.dryRun()
	u.watched()
	u.locked()
	u.policies()
	u.nothing()
}

// TestReleasesKilled ends the daemon with SIGKILL before and after a commit is
// pushed: the job goes on, and there is one commit.
func TestReleasesKilled(t *testing.T) {
	t.Parallel()
	u := newReleases(t)
	u.killed("1.2.0", u.server.hold, (*heldPush).drop, ignore)
	u.killed("1.3.0", u.server.holdAnswer, (*heldPush).drop, ignore)
	u.killed("2.0.0", u.server.hold, ignore, (*heldPush).release)
}

// ignore leaves a push where it is.
func ignore(*heldPush) {}

// newReleases is a site in which nothing is done by itself.
func newReleases(t *testing.T) *updates {
	t.Helper()
	annotated := func(name, image, annotation string) string {
		return strings.Replace(deployment("", name, shopHost+"/"+image), "  namespace: NS\n", "  namespace: NS\n  annotations:\n    "+annotation+"\n", 1)
	}
	u := newUpdates(t, map[string]string{
		"web.yaml":  annotated("web", "acme/web:1.1.0", "fluxcd.io/tag.web: semver:~1"),
		"db.yaml":   annotated("db", "acme/db:14.1", `fluxcd.io/locked: "true"`),
		"gone.yaml": annotated("gone", "acme/web:1.1.0", `fluxcd.io/ignore: "true"`),
		"api.yaml":  deployment("", "api", shopHost+"/acme/api:1"),
	}, blocks{settings: `interval = "1h"`}, func(r *registry) {
		r.push("acme/web", 0, "1.0.0", "1.1.0", "1.2.0", "1.3.0", "2.0.0")
		r.push("acme/db", 0, "14.1", "14.2")
		r.push("acme/api", 0, "1", "2")
	})
	u.sluice("images", "-n", u.prefix, "--scan")
	return u
}

// release runs a command that commits n times, and returns the last commit and
// what the command printed.
func (u *updates) release(n int, args ...string) (commit, printed string) {
	u.t.Helper()
	before := u.repo.head()
	printed = u.sluice(append([]string{args[0], "-n", u.prefix, "--user", "Ann <ann@example.com>"}, args[1:]...)...)
	if commits := u.repo.commits(before); len(commits) != n {
		u.t.Errorf("%q makes %d commits, want %d\n%s", args, len(commits), n, printed)
	}
	return u.repo.head(), printed
}

func (u *updates) dryRun() {
	u.t.Helper()
	_, table := u.release(0, "release", "--all", "--update-all-images", "--dry-run", "-vv")
	u.same("the table", table, u.aligned(`WORKLOAD            STATUS   UPDATES
NS:deployment/api   success  api: registry.example.com/acme/api:1 -> 2
NS:deployment/db    skipped  locked
NS:deployment/gone  skipped  not accessible in cluster
NS:deployment/web   success  web: registry.example.com/acme/web:1.1.0 -> 1.3.0`))
}

// watched is a release that is followed until it has rolled out.
func (u *updates) watched() {
	u.t.Helper()
	commit, printed := u.release(1, "release", "deployment/web", "--update-image", shopHost+"/acme/web:1.2.0", "--watch")
	want := strings.ReplaceAll(`WORKLOAD           STATUS   UPDATES
NS:deployment/web  success  web: registry.example.com/acme/web:1.1.0 -> 1.2.0
Commit pushed:	SHORT
Commit applied:	SHORT
WORKLOAD           CONTAINER  IMAGE                                RELEASE  REPLICAS
NS:deployment/web  web        registry.example.com/acme/web:1.2.0  ready    2/2`, "SHORT", commit[:7])
	u.same("what a release prints", steps.ReplaceAllString(printed, ""), u.aligned(want))
	u.same("the changed lines", strings.Join(u.repo.numstat(commit), ","), "1 1 web.yaml")
	u.same("author and committer", u.repo.served("log", "-1", "--format=%an <%ae>|%cn <%ce>", commit), "Ann <ann@example.com>|"+committer)
	message := u.repo.served("log", "-1", "--format=%B", commit)
	job := u.jobs()[0]
	u.same("the message", message, `Release registry.example.com/acme/web:1.2.0 to NS:deployment/web

Sluice-Cause: release
Sluice-Job: `+job.ID+`
Sluice-Sync: sync.NS
Sluice-User: Ann <ann@example.com>`)
	u.same("the image that runs", u.runs("web"), "registry.example.com/acme/web:1.2.0")
}

// steps are what --watch prints of a rollout that goes on.
var steps = regexp.MustCompile(`WORKLOAD .*\n.* (started|updating) .*\n`)

// aligned makes the columns of a table as wide as the test's prefix makes them.
func (u *updates) aligned(table string) string {
	return strings.ReplaceAll(table, "WORKLOAD  ", "WORKLOAD"+strings.Repeat(" ", len(u.prefix)))
}

// job is what is read of `sluice jobs -o json`.
type job struct{ ID, Kind, State, Error string }

// jobs are the newest first.
func (u *updates) jobs() (list []job) {
	u.t.Helper()
	if err := json.Unmarshal([]byte(u.sluice("jobs", "-o", "json")), &list); err != nil {
		u.t.Fatal(err)
	}
	return list
}

// locked is what only force releases, and only where it is named.
func (u *updates) locked() {
	u.t.Helper()
	db := []string{"release", "deployment/db", "--update-image", shopHost + "/acme/db:14.2"}
	_, table := u.release(0, append(db, "-v")...)
	if !strings.Contains(table, "skipped  locked") || !strings.Contains(table, "Nothing to do") {
		u.t.Errorf("a release of what is locked:\n%s", table)
	}
	u.release(0, "release", "--all", "--update-image", shopHost+"/acme/db:14.2", "--force")
	u.release(1, append(db, "--force")...)
	u.release(0, "release", "deployment/web", "--update-image", shopHost+"/acme/web:2.0.0") // which its policy refuses
	u.same("the image that runs", u.runs("db"), "registry.example.com/acme/db:14.2")
}

// policies changes annotations: one commit for each command, with all it says.
func (u *updates) policies() {
	u.t.Helper()
	u.sluice("suspend", "image_automation."+u.prefix)
	for _, c := range []struct{ args, message, numstat, annotations string }{
		{"unlock deployment/db", "Unlocked: NS:deployment/db", "0 2 db.yaml", "{}"},
		{"lock deployment/db -m stock-taking", "stock-taking\n\n- Locked: NS:deployment/db", "4 0 db.yaml",
			`{"sluice.dev/locked":"true","sluice.dev/locked_msg":"stock-taking","sluice.dev/locked_user":"Ann \u003cann@example.com\u003e"}`},
		{"automate deployment/api", "Automated: NS:deployment/api", "2 0 api.yaml", `{"sluice.dev/automated":"true"}`},
		{"deautomate deployment/api", "Deautomated: NS:deployment/api", "0 2 api.yaml", `{}`},
		{"policy deployment/web deployment/api --tag-all semver:~1.2 --lock", "Updated workload policies\n\n- Locked: NS:deployment/api, NS:deployment/web\n- Updated policies: NS:deployment/api, NS:deployment/web",
			"4 0 api.yaml,3 1 web.yaml", ""},
		{"policy deployment/web --unlock --tag web=*", "Updated workload policies\n\n- Unlocked: NS:deployment/web\n- Updated policies: NS:deployment/web", "0 4 web.yaml", "{}"},
	} {
		commit, _ := u.release(1, strings.Fields(c.args)...)
		said, _, _ := strings.Cut(u.repo.served("log", "-1", "--format=%B", commit), "\n\nSluice-Cause: policy")
		u.same(c.args+": the message", said, c.message)
		u.same(c.args+": the changed lines", strings.Join(u.repo.numstat(commit), ","), c.numstat)
		if c.annotations != "" {
			u.applied()
			name := strings.TrimPrefix(strings.Fields(c.args)[1], "deployment/")
			u.same(c.args+": the annotations", u.annotations(name), c.annotations)
		}
	}
}

// annotations are those of policies, as JSON.
func (u *updates) annotations(name string) string {
	u.t.Helper()
	var all map[string]string
	if text := u.must("kubectl", "-n", u.prefix, "get", "deployment", name, "-o", "jsonpath={.metadata.annotations}"); text != "" {
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			u.t.Fatalf("%v: %s", err, text)
		}
	}
	policies := map[string]string{}
	for key, value := range all {
		if strings.HasPrefix(key, "fluxcd.io/") || strings.HasPrefix(key, "sluice.dev/") {
			policies[key] = value
		}
	}
	return string(asJSON(policies))
}

// nothing is what commits nothing.
func (u *updates) nothing() {
	u.t.Helper()
	before := u.repo.head()
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"release deployment/web --update-image registry.example.com/acme/web:1.2.0", 0, "Nothing to do"},
		{"release deployment/web --update-image registry.example.com/acme/web:9.9.9", 1, "9.9.9"},
		{"release deployment/nope --update-all-images -v", 1, "not found in repository"},
		{"release deployment/web", 1, "--update-image"},
		{"release --all --update-all-images --force", 1, "--force"},
		{"policy deployment/web --lock --unlock", 1, "lock"},
		{"policy deployment/web --tag web", 1, "container=pattern"},
		{"policy deployment/web --tag web=semver:x.y.z.w", 1, "semver"},
		{"unlock deployment/web", 0, "Nothing to do"},
	} {
		args := strings.Fields(c.args)
		o := u.try(append([]string{args[0], "-n", u.prefix}, args[1:]...)...)
		if (o.code != 0) != (c.code != 0) || !strings.Contains(o.out+o.errOut, c.want) {
			u.t.Errorf("%s: exit %d, want %d and %q\n%s%s", c.args, o.code, c.code, c.want, o.out, o.errOut)
		}
	}
	if commits := u.repo.commits(before); len(commits) > 0 {
		u.t.Errorf("%d commits of commands that have nothing to change", len(commits))
	}
}

// killed releases a tag, and kills the daemon while its push is held. What
// comes of the push then happens before the daemon starts again, or after its
// job has ended. The command waits all the while.
func (u *updates) killed(tag string, hold func(string) *heldPush, before, after func(*heldPush)) {
	u.t.Helper()
	head, known := u.repo.head(), len(u.jobs())
	held := hold("app")
	var printed bytes.Buffer
	cmd := exec.Command(filepath.Join(u.bin, "sluice"), "--config", u.config, "release", "-n", u.prefix, "deployment/web",
		"--update-image", shopHost+"/acme/web:"+tag, "--force")
	cmd.Env, cmd.Stdout, cmd.Stderr = u.env, &printed, &printed
	if err := cmd.Start(); err != nil {
		u.t.Fatal(err)
	}
	u.arrives(held)
	u.daemon.kill()
	before(held)
	u.start()
	u.eventually(time.Minute, "the job ends", func() bool {
		j := u.jobs()
		return len(j) == known+1 && slices.Contains([]string{"succeeded", "failed"}, j[0].State)
	})
	after(held)
	if err := cmd.Wait(); err != nil {
		u.t.Errorf("the command does not survive a restart of the daemon: %v\n%s", err, &printed)
	}
	if j := u.jobs()[0]; j.State != "succeeded" {
		u.t.Errorf("the job of %s: %+v", tag, j)
	}
	commits := u.lands(head, 1)
	u.same("the changed lines", strings.Join(u.repo.numstat(commits[0]), ","), "1 1 web.yaml")
	u.same("the image that runs", u.runs("web"), fmt.Sprintf("%s/acme/web:%s", shopHost, tag))
}

// arrives waits for a push that is held.
func (u *updates) arrives(h *heldPush) {
	u.t.Helper()
	u.eventually(time.Minute, "the push arrives", func() bool {
		select {
		case <-h.arrived:
			return true
		default:
			return false
		}
	})
}
