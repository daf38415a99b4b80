package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// branch is what the updates of TestBranches are proposed on.
const branch = "image-updates"

// TestBranches proposes updates on a branch for a person to merge, and marks
// what is applied in the cluster.
func TestBranches(t *testing.T) {
	t.Parallel()
	u := newUpdates(t, map[string]string{"web.yaml": oddly}, blocks{
		automation: `branch = "` + branch + `"
  message = "Propose {{ range .Changes }}{{ .To }}{{ end }} for {{ .Branch }}"`,
		write: "ci_skip = true",
		sync:  `marker "annotation" {}`,
	}, func(r *registry) { r.push("acme/web", 0, "1.1.0") })
	u.annotated(u.repo.head())
	main := u.repo.head()
	first := u.proposed("1.2.0", main)
	second := u.proposed("1.3.0", first)
	main = u.personally(map[string]string{"other.yaml": configMap("", "other", "x")})
	third := u.proposed("1.4.0", second)
	if merged := u.repo.served("merge-base", "main", branch); merged != main && merged != u.repo.served("rev-parse", "main~1") {
		u.t.Errorf("%s does not build on main: %s", third, merged)
	}
	u.merged()
	u.proposed("1.5.0", third)
	u.readOnly()
}

// proposed pushes an image, and waits for the commit on the branch, which
// follows another one. Nothing else is touched.
func (u *updates) proposed(tag, after string) string {
	u.t.Helper()
	main, runs := u.repo.head(), u.runs("web")
	u.reg.push("acme/web", int(tag[2])-'0'+30, tag)
	u.eventually(time.Minute, tag+" is on the branch", func() bool {
		return strings.Contains(u.run("git", "-C", u.repo.bare(), "show", branch+":web.yaml").out, "acme/web:"+tag)
	})
	tip := u.repo.served("rev-parse", branch)
	if o := u.run("git", "-C", u.repo.bare(), "merge-base", "--is-ancestor", after, tip); o.code != 0 {
		u.t.Errorf("%s was pushed over %s by force", tip, after)
	}
	said, _, _ := strings.Cut(u.repo.served("log", "-1", "--format=%B", tip), "\n\nSluice-Cause: automation")
	u.same("the message", said, "Propose registry.example.com/acme/web:"+tag+" for "+branch+"\n\n[ci skip]")
	u.same("what differs from main", strings.ReplaceAll(u.repo.served("diff", "--numstat", "main..."+branch), "\t", " "), "1 1 web.yaml")
	u.applied()
	u.same("main", u.repo.head(), main)
	u.same("the image that runs", u.runs("web"), runs)
	return tip
}

// merged is a person who merges the branch and applies it so.
func (u *updates) merged() {
	u.t.Helper()
	u.repo.git("fetch", "-q", "origin")
	u.repo.git("pull", "-q", "--rebase", "origin", "main")
	u.repo.git("merge", "-q", "--no-ff", "-m", "merge", "origin/"+branch)
	u.repo.git("push", "-q", u.repo.bare(), "HEAD:main")
	u.applied()
	u.same("the image that runs", u.runs("web"), shopHost+"/acme/web:1.4.0")
	u.annotated(u.repo.head())
}

// annotated waits for the marker in the cluster to be at a commit.
func (u *updates) annotated(commit string) {
	u.t.Helper()
	u.eventually(time.Minute, "the marker is at "+commit, func() bool {
		marks := u.must("kubectl", "get", "configmaps,secrets", "-A", "-o", `jsonpath={range .items[*]}{.metadata.annotations.sluice\.dev/sync-marker}{"\n"}{end}`)
		return slices.Contains(strings.Fields(marks), commit)
	})
}

// readOnly takes the right to write away: a release says so, and ends.
func (u *updates) readOnly() {
	u.t.Helper()
	u.blocks.readOnly = true
	u.configure()
	u.eventually(time.Minute, "the configuration is taken up", func() bool { return len(u.told("reloaded")) == 1 })
	u.applied()
	before := u.server.count("app")
	o := u.try("release", "-n", u.prefix, "deployment/web", "--update-image", shopHost+"/acme/web:1.5.0")
	if o.code == 0 || !strings.Contains(o.errOut, "write") || !strings.Contains(o.errOut, `source/git "app"`) {
		u.t.Errorf("a release to a source that is only read: exit %d\n%s%s", o.code, o.out, o.errOut)
	}
	if j := u.jobs()[0]; j.State != "failed" || !strings.Contains(j.Error, "write") {
		u.t.Errorf("its job: %+v", j)
	}
	if n := u.server.count("app") - before; n != 0 {
		u.t.Errorf("%d pushes to a source that is only read", n)
	}
}
