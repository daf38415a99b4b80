package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestImages shows what runs and what the registries have for it, and that
// nobody is asked again after a restart.
func TestImages(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.workloads()
	s.onDemand()
	s.scan()
	s.figures()
	s.restart()
	s.clear()
}

func (s *shop) workloads() {
	table := s.sluice("workloads", "-n", s.prefix)
	s.same(table, `
WORKLOAD                        CONTAINER  IMAGE                                  RELEASE  POLICY
images-00000:cronjob/report     report     registry.example.com/acme/report:r1    ready
images-00000:daemonset/agent    agent      registry.example.com/acme/agent:v1     ready    automated
images-00000:deployment/api     api        registry.example.com/acme/api:main-a1  ready    automated
images-00000:deployment/broken  broken     registry.example.com/ACME/Web::1       ready    automated
images-00000:deployment/dead    dead       dead.example.com/acme/dead:1           ready    automated
images-00000:deployment/manual  manual     registry.example.com/acme/manual:1.0   ready
images-00000:deployment/web     web        registry.example.com/acme/web:1.1.0    ready    automated
                                migrate    registry.example.com/acme/migrate:1
images-00000:job/once           once       registry.example.com/acme/once:1       ready
images-00000:statefulset/db     db         registry.example.com/acme/db:14.1      ready    automated,locked`)
	for _, alias := range []string{"list-workloads", "list-controllers"} {
		if got := s.sluice(alias, "-n", s.prefix); got != table {
			s.t.Errorf("%s:\n%s", alias, got)
		}
	}
	s.same(s.sluice("workloads", "-A", "--container", "migrate", "--no-headers"), s.prefix+
		":deployment/web  migrate  registry.example.com/acme/migrate:1  ready  automated")
	if o := s.try("workloads"); o.out != "" || !strings.Contains(o.errOut, "nothing runs in the namespace default") {
		s.t.Errorf("of the namespace default: %+v", o)
	}
	if got := s.sluice("__complete", "images", "-n", s.prefix, "deployment/b"); !strings.HasPrefix(got, "deployment/broken\n") {
		s.t.Errorf("completion of a workload's name:\n%s", got)
	}
	s.workloadsJSON()
}

func (s *shop) workloadsJSON() {
	var list []struct {
		ID, Owner  string
		Policies   []string
		Warnings   []string
		Containers []struct {
			Name, Image string
			Init        bool
		}
		Rollout struct {
			Phase          string
			Desired, Ready int
		}
	}
	if err := json.Unmarshal([]byte(s.sluice("workloads", "-n", s.prefix, "-o", "json")), &list); err != nil {
		s.t.Fatal(err)
	}
	if len(list) != 9 {
		s.t.Fatalf("%d workloads, want 9", len(list))
	}
	broken, web, db := list[3], list[6], list[8]
	if len(broken.Warnings) != 1 || !strings.Contains(broken.Warnings[0], "capital letters") {
		s.t.Errorf("warnings about the broken image: %q", broken.Warnings)
	}
	if c := web.Containers; len(c) != 2 || c[0].Init || !c[1].Init || c[1].Name != "migrate" {
		s.t.Errorf("containers of web: %+v", c)
	}
	if web.Owner != s.prefix || web.Rollout.Phase != "ready" || web.Rollout.Desired != 1 || web.Rollout.Ready != 1 {
		s.t.Errorf("web: %+v", web)
	}
	if want := []string{"automated", "locked"}; !slices.Equal(db.Policies, want) {
		s.t.Errorf("policies of db: %q", db.Policies)
	}
}

// onDemand looks at a workload under no policy: nobody looks by themselves,
// but does when it is named.
func (s *shop) onDemand() {
	if n := s.asked("acme/manual"); n != 0 {
		s.t.Errorf("%d requests for what is not automated", n)
	}
	s.same(s.sluice("images", "-n", s.prefix, "deployment/manual"), `
WORKLOAD                        CONTAINER  IMAGE                             CREATED
images-00000:deployment/manual  manual     registry.example.com/acme/manual  seen 1s ago; not automated
                                           |   1.1                           02 Mar 26 12:00 UTC
                                           '-> 1.0                           01 Mar 26 12:00 UTC`)
	for _, wrong := range []struct{ name, want string }{
		{"deployment/nope", "there is no workload " + s.prefix + ":deployment/nope"},
		{"nope", "write namespace:kind/name"},
	} {
		o := s.try("images", "-n", s.prefix, wrong.name)
		if o.code != 1 || !strings.Contains(o.errOut, wrong.want) {
			s.t.Errorf("%s: %+v", wrong.name, o)
		}
	}
}

// scan asks for everything: a broken tag, a broken name and a dead registry
// stop nobody.
func (s *shop) scan() {
	table := s.sluice("images", "-n", s.prefix, "--scan")
	s.same(table, `
WORKLOAD                        CONTAINER  IMAGE                              CREATED
images-00000:cronjob/report     report     registry.example.com/acme/report   seen 1s ago; not automated
                                           |   r2                             02 Mar 26 12:00 UTC
                                           '-> r1                             01 Mar 26 12:00 UTC
images-00000:daemonset/agent    agent      registry.example.com/acme/agent    seen 1s ago
                                           |   v2                             02 Mar 26 12:00 UTC
                                           '-> v1                             01 Mar 26 12:00 UTC
images-00000:deployment/api     api        registry.example.com/acme/api      seen 1s ago
                                           |   feature-x                      04 Mar 26 12:00 UTC
                                           |   main-c3                        03 Mar 26 12:00 UTC
                                           |   main-b2                        02 Mar 26 12:00 UTC
                                           '-> main-a1                        01 Mar 26 12:00 UTC
                                               main-z9                        the manifest of main-z9: it is not JSON of the expected form
images-00000:deployment/broken  broken     registry.example.com/ACME/Web::1   image "registry.example.com/ACME/Web::1": repository "ACME/Web": capital letters are not allowed
                                           '-> ?
images-00000:deployment/dead    dead       dead.example.com/acme/dead         the tags: dial tcp 127.0.0.1:1: connect: connection refused
                                           '-> 1
images-00000:deployment/manual  manual     registry.example.com/acme/manual   seen 1s ago; not automated
                                           |   1.1                            02 Mar 26 12:00 UTC
                                           '-> 1.0                            01 Mar 26 12:00 UTC
images-00000:deployment/web     web        registry.example.com/acme/web      seen 1s ago
                                           |   2.0.0                          05 Mar 26 12:00 UTC
                                           |   1.2.0                          04 Mar 26 12:00 UTC
                                           |   1.1.1                          03 Mar 26 12:00 UTC
                                           '-> 1.1.0                          02 Mar 26 12:00 UTC
                                               1.0.0                          01 Mar 26 12:00 UTC
                                               nightly                        06 Mar 26 12:00 UTC
                                migrate    registry.example.com/acme/migrate  seen 1s ago
                                           |   2                              02 Mar 26 12:00 UTC
                                           '-> 1                              01 Mar 26 12:00 UTC
images-00000:job/once           once       registry.example.com/acme/once     seen 1s ago; not automated
                                           '-> 1                              01 Mar 26 12:00 UTC
images-00000:statefulset/db     db         registry.example.com/acme/db       seen 1s ago
                                           |   15.0                           03 Mar 26 12:00 UTC
                                           |   14.2                           02 Mar 26 12:00 UTC
                                           '-> 14.1                           01 Mar 26 12:00 UTC`)
	s.same(s.sluice("list-images", "-n", s.prefix, "-w", s.prefix+":deployment/web", "--container", "web", "-l", "2"), `
WORKLOAD                     CONTAINER  IMAGE                          CREATED
images-00000:deployment/web  web        registry.example.com/acme/web  seen 1s ago
                                        |   2.0.0                      05 Mar 26 12:00 UTC
                                        |   1.2.0                      04 Mar 26 12:00 UTC
                                        :   (1 image omitted)
                                        '-> 1.1.0                      02 Mar 26 12:00 UTC`)
	web := s.images("-n", s.prefix, "deployment/web")[0]
	if got := web.Rows[0]; got.Relation != "newer" || got.Tag.Name != "2.0.0" || got.Tag.Digest == "" || !got.Tag.Created.Equal(epoch.AddDate(0, 0, 4)) {
		s.t.Errorf("the first row of web: %+v", got)
	}
}

func (s *shop) figures() {
	budget := s.sluice("images", "budget")
	for _, want := range []string{"HOST", shopHost, "(anonymous)", "1000/s"} {
		if !strings.Contains(budget, want) {
			s.t.Errorf("no %q in the budget:\n%s", want, budget)
		}
	}
	stats := s.sluice("images", "cache", "stats")
	for _, want := range []string{"repositories     8", "images           22", "MiB in use"} {
		if !strings.Contains(stats, want) {
			s.t.Errorf("no %q in the figures of the cache:\n%s", want, stats)
		}
	}
}

// scanning waits until so many repositories of the shop are scanned by
// themselves.
func (s *shop) scanning(n int) {
	s.t.Helper()
	var scans string
	s.eventually(time.Minute, "what is automated is scanned by itself", func() bool {
		scans = s.sluice("images", "scans")
		return strings.Count(scans, shopHost) >= n
	})
	if strings.Contains(scans, "acme/manual") {
		s.t.Errorf("what is not automated is scanned:\n%s", scans)
	}
}

// restart stops the daemon and starts it again: it knows what it knew, and has
// no need to ask.
func (s *shop) restart() {
	s.scanning(5) // all that there are
	s.settings = `interval = "1h"`
	s.configure()
	s.eventually(time.Minute, "the configuration is taken up", func() bool { return len(s.told("reloaded")) == 1 })
	show := func() string {
		return s.sluice("images", "-n", s.prefix, "deployment/web", "deployment/manual", "daemonset/agent")
	}
	before := show()
	s.daemon.stop()
	s.reg.reset()
	s.start()
	if after := show(); after != before {
		s.t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	s.scanning(1)
	if asked := s.reg.requests(); len(asked) > 0 {
		s.t.Errorf("%d requests after a restart, the first one %+v", len(asked), asked[0])
	}
}

// clear forgets one repository; the next scan reads it again.
func (s *shop) clear() {
	if got := s.sluice("images", "cache", "clear", shopHost+"/acme/once"); got != "forgot 1 repository with 1 tag and 1 image, and 0 failures" {
		s.t.Errorf("clear says %q", got)
	}
	if got := s.images("-n", s.prefix, "job/once"); len(got[0].Rows) != 1 {
		s.t.Errorf("a workload that is named is looked at again: %+v", got)
	}
	if n := s.asked("acme/once"); n == 0 {
		s.t.Error("nothing was asked after the cache was cleared")
	}
}
