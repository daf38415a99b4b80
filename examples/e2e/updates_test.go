package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Who makes the commits of these tests.
const (
	robot     = "Robot <robot@example.com>"
	committer = "Sluice <sluice@example.com>"
)

// updates is a site whose images are written back to git.
type updates struct {
	site
	applier string
	repo    *repo
	blocks  blocks
}

// blocks are more arguments and blocks of a configuration.
type blocks struct {
	source, sync, automation string // arguments
	more                     string // blocks
	settings                 string // of images
	write                    string // more of the block write
	readOnly                 bool   // no such block
}

// newUpdates starts a daemon for a repository with files, and waits until they
// are applied. seed fills the registry before.
func newUpdates(t *testing.T, files map[string]string, b blocks, seed func(*registry)) *updates {
	t.Helper()
	w := newWorld(t)
	return w.updates(w.only(""), files, b, seed)
}

// updates is newUpdates with an applier of the caller's.
func (w *world) updates(applier string, files map[string]string, b blocks, seed func(*registry)) *updates {
	w.t.Helper()
	u := &updates{site: site{world: w, reg: w.registry()}, applier: applier, blocks: b}
	seed(u.reg)
	u.repo = w.repo("app", files)
	u.configure()
	u.start()
	u.applied()
	return u
}

// configure writes the configuration.
func (u *updates) configure() {
	u.t.Helper()
	settings := u.blocks.settings
	if settings == "" {
		settings = `interval = "1s"`
	}
	write := fmt.Sprintf("write {\n    author    = %q\n    committer = %q\n    %s\n  }", robot, committer, u.blocks.write)
	if u.blocks.readOnly {
		write = ""
	}
	u.config = u.world.config(u.reg.block(shopHost, "rps = 1000") + u.applier + fmt.Sprintf(`
source "git" "app" {
  url      = %q
  branch   = "main"
  interval = "1s"
  %s
  %s
}
sync "NS" {
  source = source.git.app
  %s
}
image_automation "NS" {
  sync = sync.NS
  %s
}
images { %s }
%s
`, u.repo.url, write, u.blocks.source, u.blocks.sync, u.blocks.automation, settings, u.blocks.more))
}

// applied waits until the newest revision is applied.
func (u *updates) applied() {
	u.t.Helper()
	u.sluice("sync", u.prefix, "--wait", "--timeout", "3m")
}

// scan looks for new images now, and has what they lead to decided.
func (u *updates) scan() {
	u.t.Helper()
	u.sluice("images", "-n", u.prefix, "--scan")
	u.look()
}

// look has the automation look once, with what is known now.
func (u *updates) look() {
	u.t.Helper()
	u.sluice("sync", "image_automation."+u.prefix, "--wait")
}

// head is the newest commit at the server.
func (r *repo) head() string { return r.served("rev-parse", "main") }

// served runs git in the repository of the server.
func (r *repo) served(args ...string) string {
	r.w.t.Helper()
	return strings.TrimSpace(r.w.must("git", append([]string{"-C", r.bare()}, args...)...))
}

func (r *repo) bare() string { return filepath.Join(r.w.dir, "git", r.name+".git") }

// text is a file as the server has it.
func (r *repo) text(path string) string {
	r.w.t.Helper()
	return r.w.must("git", "-C", r.bare(), "show", "main:"+path)
}

// commits are those since one, the oldest first.
func (r *repo) commits(since string) []string {
	r.w.t.Helper()
	return strings.Fields(r.served("rev-list", "--reverse", since+"..main"))
}

// pull takes over what others have pushed.
func (r *repo) pull() {
	r.w.t.Helper()
	r.git("pull", "-q", "--rebase", "origin", "main")
}

// numstat are the files that a commit changes, each with its added and deleted
// lines: "1 1 web.yaml".
func (r *repo) numstat(commit string) []string {
	r.w.t.Helper()
	lines := strings.Split(r.served("show", "--numstat", "--format=", commit), "\n")
	for i := range lines {
		lines[i] = strings.ReplaceAll(lines[i], "\t", " ")
	}
	return lines
}

// lands waits for so many commits since one, and for them to be applied. More
// than that is an error.
func (u *updates) lands(since string, n int) []string {
	u.t.Helper()
	var commits []string
	u.eventually(2*time.Minute, fmt.Sprintf("%d commits", n), func() bool {
		commits = u.repo.commits(since)
		return len(commits) >= n
	})
	u.applied()
	if commits = u.repo.commits(since); len(commits) != n {
		u.t.Errorf("%d commits, want %d:\n%s", len(commits), n, u.repo.served("log", "--stat", since+"..main"))
	}
	return commits
}

// runs is the image of a container of a deployment in the cluster.
func (u *updates) runs(name string) string {
	u.t.Helper()
	return u.must("kubectl", "-n", u.prefix, "get", "deployment", name, "-o", "jsonpath={.spec.template.spec.containers[0].image}")
}

// same reports text that is not what is wanted.
func (u *updates) same(what, got, want string) {
	u.t.Helper()
	if want = strings.ReplaceAll(want, "NS", u.prefix); got != want {
		u.t.Errorf("%s:\n%s\nwant\n%s", what, got, want)
	}
}

// interrupted pushes an image, and kills the daemon before or after its commit
// reaches the server: there is one commit all the same.
func (u *updates) interrupted(tag string, hold func(string) *heldPush) {
	u.t.Helper()
	before, held := u.repo.head(), hold("app")
	u.reg.push("acme/web", int(tag[2])+30, tag)
	u.arrives(held)
	u.daemon.kill()
	held.drop()
	u.start()
	commit := u.lands(before, 1)[0]
	u.same("the changed lines", strings.Join(u.repo.numstat(commit), ","), "1 1 web.yaml")
	u.same("the image that runs", u.runs("web"), shopHost+"/acme/web:"+tag)
	u.scan()
	u.lands(before, 1)
	u.marked(commit)
}

// oddly is a manifest in which everything is where nobody expects it.
const oddly = `# The shop's front page.   It was here first.

apiVersion: apps/v1
kind: Deployment
metadata:
      name: web   # tabs	are fine in comments
      namespace: NS
      annotations: {fluxcd.io/automated: "true", 'fluxcd.io/tag.web': "semver:~1"}
spec:
  replicas:    2
  selector: {matchLabels: {app: web}}
  template:
        metadata: {labels: {app: web}}
        spec:
          containers:
          -    image:   'registry.example.com/acme/web:1.1.0'     # the newest of 1.x
               name: web
               args: [ --one,   --two ]
`

// TestImageUpdate follows one image from its push to the registry to the pods,
// while a person pushes to the same file at the same time.
func TestImageUpdate(t *testing.T) {
	t.Parallel()
	api := strings.ReplaceAll(strings.TrimSuffix(deployment("", "api", shopHost+"/acme/api:7 # numeric"), "\n"), "\n", "\r\n")
	u := newUpdates(t, map[string]string{"web.yaml": oddly, "deep/down/api.yaml": api, "README.md": "no manifest"},
		blocks{sync: `marker "tag" { name = "applied" }`}, func(r *registry) {
			r.push("acme/web", 0, "1.0.0", "1.1.0", "2.0.0")
			r.push("acme/api", 0, "7", "8")
		})
	u.update()
	u.another()
	u.interrupted("1.3.0", u.server.hold)
	u.interrupted("1.4.0", u.server.holdAnswer)
}

// update pushes an image, and has a person push while the commit is on its way.
func (u *updates) update() {
	u.t.Helper()
	before := u.repo.head()
	u.marked(before) // which is a push, too
	held := u.server.hold("app")
	u.reg.push("acme/web", 30, "1.2.0")
	u.arrives(held)
	person := u.personally(map[string]string{"web.yaml": "# A person was here.\n" + oddly, "other.yaml": configMap("", "other", "x")})
	held.release()
	commits := u.lands(before, 2)
	if commits[0] != person {
		u.t.Fatalf("the person's commit %s is not the first of %q", person, commits)
	}
	u.same("the changed lines", strings.Join(u.repo.numstat(commits[1]), ","), "1 1 web.yaml")
	u.same("the file", u.repo.text("web.yaml"), "# A person was here.\n"+strings.Replace(oddly, "web:1.1.0", "web:1.2.0", 1))
	u.same("author, committer and parent", u.repo.served("log", "-1", "--format=%an <%ae>|%cn <%ce>|%P", commits[1]), robot+"|"+committer+"|"+person)
	u.same("the message", u.repo.served("log", "-1", "--format=%B", commits[1]), `Auto-release registry.example.com/acme/web:1.2.0

Sluice-Cause: automation
Sluice-Job: image_automation.NS
Sluice-Sync: sync.NS`)
	u.must("kubectl", "-n", u.prefix, "rollout", "status", "deployment/web", "--timeout", "1m")
	u.same("the image that runs", u.runs("web"), "registry.example.com/acme/web:1.2.0")
	u.same("the image that nobody automates", u.runs("api"), "registry.example.com/acme/api:7")
	if !u.exists(u.prefix, "configmap/other") {
		u.t.Error("what the person pushed is not applied")
	}
	u.marked(commits[1])
	u.repo.pull()
}

// personally pushes files as a person does who looks at what is there, past the
// server that counts.
func (u *updates) personally(files map[string]string) string {
	u.t.Helper()
	return u.repo.push(u.repo.bare(), files)
}

// marked waits until the marker stands at a commit.
func (u *updates) marked(commit string) {
	u.t.Helper()
	u.eventually(time.Minute, "the marker is at "+commit, func() bool {
		o := u.run("git", "-C", u.repo.bare(), "rev-parse", "-q", "--verify", "applied^{commit}")
		return strings.TrimSpace(o.out) == commit
	})
	if kind := u.repo.served("cat-file", "-t", "applied"); kind != "tag" {
		u.t.Errorf("the marker is a %s, want an annotated tag", kind)
	}
}

// another update follows a command, in a file with other line ends and none at
// its end.
func (u *updates) another() {
	u.t.Helper()
	before, api := u.repo.head(), u.repo.text("deep/down/api.yaml")
	u.sluice("automate", "-n", u.prefix, "deployment/api")
	automated := u.lands(before, 2) // and the newer image at once
	u.same("the changed lines", strings.Join(slices.Concat(u.repo.numstat(automated[0]), u.repo.numstat(automated[1])), ","),
		"2 0 deep/down/api.yaml,1 1 deep/down/api.yaml")
	want := strings.Replace(api, "api:7 #", "api:8 #", 1)
	want = strings.Replace(want, "\r\nspec:", "\r\n  annotations:\r\n    sluice.dev/automated: \"true\"\r\nspec:", 1)
	u.same("the file", u.repo.text("deep/down/api.yaml"), want)
	u.same("the image that runs", u.runs("api"), "registry.example.com/acme/api:8")
	u.marked(automated[1])
	if said := u.sluice("images", "why", "-n", u.prefix, "deployment/web"); !strings.Contains(said, "2.0.0") || !strings.Contains(said, "refused") {
		u.t.Errorf("why web is what it is:\n%s", said)
	}
}
