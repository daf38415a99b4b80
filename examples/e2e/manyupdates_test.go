package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// What there is to update: manyWorkloads in manyFiles, of manyImages.
const (
	manyWorkloads = 500
	manyFiles     = 200
	manyImages    = 5
)

// TestManyUpdates brings new images to 500 workloads at once: alone, against
// somebody who pushes all the time, and beside a file that nobody can read.
func TestManyUpdates(t *testing.T) {
	t.Parallel()
	u := newUpdates(t, manyManifests(), blocks{more: "image_policy \"all\" {\n  policy = \"semver:*\"\n}"}, func(r *registry) { pushMany(r, "1.0.0") })
	u.atOnce("1.1.0")
	u.againstWriter("1.2.0")
	u.besideBroken("1.3.0")
}

// manyManifests are the files, with two or three workloads each, of a kind that
// keeps no controller of the shared cluster busy.
func manyManifests() map[string]string {
	files := map[string]string{}
	for i := range manyWorkloads {
		files[fmt.Sprintf("f%03d.yaml", i%manyFiles)] += fmt.Sprintf(`--- # workload
apiVersion: batch/v1
kind: CronJob
metadata:
  name: w%03[1]d
  namespace: NS
spec:
  schedule: "0 3 * * *"
  suspend: true
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
            - name: job
              image: %[2]s/acme/app%[3]d:1.0.0 # the newest
`, i, shopHost, i%manyImages)
	}
	return files
}

func pushMany(r *registry, tag string) {
	for i := range manyImages {
		r.push(fmt.Sprintf("acme/app%d", i), 0, tag)
	}
}

// news pushes a new image for all workloads while nothing may be written, so
// that all of them are due at once.
func (u *updates) news(tag string) {
	u.t.Helper()
	const reason = "a release is being prepared"
	u.sluice("suspend", "image_automation."+u.prefix, "--reason", reason)
	pushMany(u.reg, tag)
	u.sluice("images", "-n", u.prefix, "--scan", "-l", "1")
	if s := u.state(u.config, "image_automation."+u.prefix); !strings.Contains(s, "suspended") || !strings.Contains(s, reason) {
		u.t.Errorf("state of what is suspended: %q", s)
	}
	if u.committed(tag) > 0 {
		u.t.Error("written although suspended")
	}
	u.sluice("resume", "image_automation."+u.prefix)
}

// atOnce is one commit and one push for all.
func (u *updates) atOnce(tag string) {
	u.t.Helper()
	before, pushes := u.repo.head(), u.server.count("app")
	u.news(tag)
	commit := u.lands(before, 1)[0]
	if n := u.server.count("app") - pushes; n != 1 {
		u.t.Errorf("%d pushes, want 1", n)
	}
	if files, added, deleted := u.changed(commit); files != manyFiles || added != manyWorkloads || deleted != manyWorkloads {
		u.t.Errorf("%d files with %d added and %d deleted lines", files, added, deleted)
	}
	first, rest, _ := strings.Cut(u.repo.served("log", "-1", "--format=%B", commit), "\n")
	u.same("the first line of the message", first, fmt.Sprintf("Auto-release multiple (%d) images", manyImages))
	if n := strings.Count(rest, "\n - "+shopHost+"/acme/app"); n != manyImages {
		u.t.Errorf("%d images in the message:\n%s", n, rest)
	}
	if n := u.running(tag); n != manyWorkloads {
		u.t.Errorf("%d workloads have %s in the cluster", n, tag)
	}
}

// changed adds up what a commit changes.
func (u *updates) changed(commit string) (files, added, deleted int) {
	u.t.Helper()
	for _, line := range u.repo.numstat(commit) {
		var a, d int
		if _, err := fmt.Sscan(line, &a, &d); err != nil {
			u.t.Fatalf("numstat %q: %v", line, err)
		}
		files, added, deleted = files+1, added+a, deleted+d
	}
	return files, added, deleted
}

// running counts the workloads that have a tag in the cluster.
func (u *updates) running(tag string) int {
	u.t.Helper()
	images := u.must("kubectl", "-n", u.prefix, "get", "cronjobs", "-o", `jsonpath={range .items[*]}{.spec.jobTemplate.spec.template.spec.containers[0].image}{"\n"}{end}`)
	return strings.Count(images, ":"+tag+"\n")
}

// committed counts the lines of the server's files that have a tag.
func (u *updates) committed(tag string) int {
	u.t.Helper()
	return strings.Count(u.run("git", "-C", u.repo.bare(), "grep", "-h", ":"+tag+" # the newest", "main").out, "\n")
}

// writerPushes bounds what a writer pushes: where the machine is so busy that
// its pushes leave no gap, nobody else's comes through before the last of them.
const writerPushes = 150

// writer pushes to a repository, again 50 ms after it has, until it is told to
// stop or has pushed writerPushes times since it was told to count.
type writer struct {
	w       *world
	dir     string
	to      string
	count   chan struct{}
	stop    chan struct{}
	done    chan struct{}
	commits []string // once it is done
	err     error
}

// againstWriter has everything updated while somebody pushes all the time, now
// and then to the files that are updated. It is there when they are done at the
// latest.
func (u *updates) againstWriter(tag string) {
	u.t.Helper()
	before := u.repo.head()
	w, pushes := u.writer(), u.server.count("app")
	defer func() {
		u.t.Logf("%d commits, %d pushes of ours that were not refused at once", len(u.repo.commits(before)), u.server.count("app")-pushes)
	}()
	u.eventually(time.Minute, "the other one pushes", func() bool { return len(u.repo.commits(before)) > 3 })
	u.news(tag)
	close(w.count)
	committed := func() bool { return u.committed(tag) == manyWorkloads }
	u.eventually(10*time.Minute, "all is committed, or nobody else pushes any more", func() bool { return committed() || w.over() })
	close(w.stop)
	<-w.done
	u.eventually(time.Minute, "all is committed", committed)
	if w.err != nil {
		u.t.Fatalf("the other one cannot push: %v", w.err)
	}
	u.applied()
	commits := u.repo.commits(before)
	for _, c := range w.commits {
		if !slices.Contains(commits, c) {
			u.t.Errorf("the commit %s of the other one is lost", c)
		}
	}
	robots := strings.Fields(u.repo.served("rev-list", "--author=robot@", before+"..main"))
	lines := 0
	for _, c := range robots {
		_, added, deleted := u.changed(c)
		if lines += added; added != deleted {
			u.t.Errorf("%s adds %d lines and deletes %d", c, added, deleted)
		}
	}
	if lines != manyWorkloads || len(commits) != len(w.commits)+len(robots) {
		u.t.Errorf("%d lines changed in %d of %d commits, %d of which are of the other one", lines, len(robots), len(commits), len(w.commits))
	}
	if n := u.running(tag); n != manyWorkloads {
		u.t.Errorf("%d workloads have %s in the cluster", n, tag)
	}
	u.repo.pull()
}

func (u *updates) writer() *writer {
	u.t.Helper()
	w := &writer{w: u.world, dir: filepath.Join(u.dir, "writer"), to: u.repo.bare(), count: make(chan struct{}), stop: make(chan struct{}), done: make(chan struct{})}
	u.must("git", "clone", "-q", w.to, w.dir)
	go w.run()
	return w
}

func (w *writer) run() {
	defer close(w.done)
	for n, counted := 0, 0; counted < writerPushes && w.err == nil; n++ {
		select {
		case <-w.stop:
			return
		case <-time.After(50 * time.Millisecond):
			w.err = w.push(n)
		}
		select {
		case <-w.count:
			counted++
		default:
		}
	}
}

// over reports whether the writer pushes no more.
func (w *writer) over() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// push commits something, one time in ten to a file with workloads, on top of
// what others have pushed, for as often as they are faster.
func (w *writer) push(n int) error {
	script := fmt.Sprintf("echo '# %d' >> noise.txt", n)
	if n%10 == 9 {
		script = fmt.Sprintf("sed -i '1s/.*/--- # %d/' f%03d.yaml", n, n*7%manyFiles)
	}
	cmd := w.w.command(w.w.t.Context(), "sh", "-c", script+" && git add -A && git commit -q -m other && until git push -q origin HEAD:main 2>/dev/null; do git pull -q --rebase origin main || exit 1; done; git rev-parse HEAD")
	cmd.Dir = w.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	w.commits = append(w.commits, strings.TrimSpace(string(out)))
	return nil
}

// besideBroken has a file that is no YAML: all others are updated, and it is
// named with the line.
func (u *updates) besideBroken(tag string) {
	u.t.Helper()
	const broken = "f007.yaml"
	text := u.repo.text(broken)
	in := strings.Count(text, "image:")
	u.personally(map[string]string{broken: strings.ReplaceAll(text, "  suspend:", "\tsuspend:")})
	before := u.repo.head()
	u.news(tag)
	u.eventually(2*time.Minute, "the others are committed", func() bool { return u.committed(tag) >= manyWorkloads-in })
	if n := len(u.repo.commits(before)); n != 1 {
		u.t.Errorf("%d commits, want 1", n)
	}
	if files, added, deleted := u.changed(u.repo.head()); files != manyFiles-1 || added != manyWorkloads-in || deleted != added {
		u.t.Errorf("%d files with %d added and %d deleted lines", files, added, deleted)
	}
	u.eventually(2*time.Minute, "what can be read is applied", func() bool { return u.running(tag) == manyWorkloads-in })
	place := fmt.Sprintf("%s:%d", broken, strings.Count(text[:strings.Index(text, "  suspend:")], "\n")+1)
	if said := u.try("why", "sync."+u.prefix); !strings.Contains(said.out, place) {
		u.t.Errorf("why does not name %s:\n%s%s", place, said.out, said.errOut)
	}
}
