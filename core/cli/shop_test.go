package cli_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-gitops/sluice/core/api"
	"github.com/sluice-gitops/sluice/core/images/gate"
	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/updates/jobs"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// shopMain serves the real API over a shop, for the commands that change git: it
// decides as the daemon does, on workloads and tags that never change by
// themselves, and commits and applies as slowly, or as badly, as its flags say.
func shopMain() {
	s := newShop()
	flags := flag.NewFlagSet("shop", flag.ExitOnError)
	listen := flags.String("listen", "", "address")
	flags.DurationVar(&s.pushes, "pushes", 0, "how long a commit takes; negative: for ever")
	flags.DurationVar(&s.applies, "applies", 0, "how long it takes to apply one; negative: for ever")
	flags.StringVar(&s.fails, "fails", "", "why no commit can be pushed")
	flags.StringVar(&s.breaks, "breaks", "", "why no rollout succeeds")
	flags.StringVar(&s.branch, "branch", "", "where commits go")
	if err := flags.Parse(os.Args[1:]); err != nil {
		fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s.ctx = ctx
	l, err := api.Listen(ctx, *listen)
	if err != nil {
		fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	end := api.Serve(l, api.NewHandler(s, "test", log), log)
	<-ctx.Done()
	if err := end(); err != nil {
		fatal(err)
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "shop:", err)
	os.Exit(1)
}

// shop is an engine whose git and cluster are a few maps.
type shop struct {
	api.Engine // what the commands of these scripts do not ask
	ctx        context.Context
	pushes     time.Duration
	applies    time.Duration
	fails      string
	breaks     string
	branch     string

	mu         sync.Mutex
	items      []*shopItem
	tags       map[string][]policy.Tag // by canonical name of the repository
	jobs       []*shopJob
	releases   []*shopRelease
	quarantine []gate.Quarantine
	looks      int // at the rollout since the last commit was applied
}

// shopItem is a workload, in git and in the cluster.
type shopItem struct {
	id         string
	notes      map[string]string // annotations
	containers []applier.Container
	running    []string // images, in the order of containers; nil: not in the cluster
}

type shopJob struct {
	jobs.Job
	ended, applied chan struct{}
}

func newShop() *shop {
	day := func(n int) time.Time { return time.Date(2026, 3, n, 12, 0, 0, 0, time.UTC) }
	tags := func(names ...string) []policy.Tag {
		var list []policy.Tag
		for i, n := range names {
			list = append(list, policy.Tag{Tag: n, Created: day(i + 1)})
		}
		return list
	}
	item := func(id string, notes map[string]string, containers ...applier.Container) *shopItem {
		x := &shopItem{id: id, notes: notes, containers: containers}
		for _, c := range containers {
			x.running = append(x.running, c.Image)
		}
		return x
	}
	c := func(name, image string) applier.Container { return applier.Container{Name: name, Image: image} }
	s := &shop{
		tags: map[string][]policy.Tag{
			"quay.io/acme/web":     tags("1.4.0", "1.4.1", "1.4.2", "1.5.0", "nightly"),
			"quay.io/acme/migrate": tags("7", "8"),
			"quay.io/acme/db":      tags("14.1", "14.2"),
		},
		items: []*shopItem{
			item("shop:cronjob/report", map[string]string{"sluice.dev/ignore": "true"}, c("report", "quay.io/acme/web:1.4.0")),
			item("shop:deployment/db", map[string]string{"fluxcd.io/locked": "true", "fluxcd.io/locked_user": "ann", "fluxcd.io/locked_msg": "stock-taking"}, c("db", "quay.io/acme/db:14.1")),
			item("shop:deployment/web", map[string]string{"fluxcd.io/automated": "true", "fluxcd.io/tag.web": "semver:~1.4"},
				c("web", "quay.io/acme/web:1.4.1"), applier.Container{Name: "migrate", Image: "quay.io/acme/migrate:7", Init: true}),
			item("yard:deployment/web", nil, c("web", "quay.io/acme/web:1.4.1")),
		},
		quarantine: []gate.Quarantine{{
			Repository: "quay.io/acme/web", Tag: "1.4.2", Reason: "CrashLoopBackOff", Since: day(5), Workload: "shop:deployment/web", Container: "web",
		}},
	}
	s.items[3].running = nil
	s.releases = newShopReleases()
	return s
}

// known is what git, the cluster and the registry have.
func (s *shop) known(namespace string) []update.Workload {
	var list []update.Workload
	for _, x := range s.items {
		if namespace != "" && !strings.HasPrefix(x.id, namespace+":") {
			continue
		}
		w := update.Workload{
			ID: x.id, Sync: "sync.shop", Source: "source.git.shop",
			InRepo: true, InCluster: x.running != nil, Attended: true, Policy: policy.Of(x.notes),
		}
		for _, c := range x.containers {
			image, err := ref.Parse(c.Image)
			if err != nil {
				fatal(err)
			}
			w.Containers = append(w.Containers, update.Container{
				Name: c.Name, Init: c.Init, Current: image, Rules: w.Policy.Rules(c.Name), Automated: w.Policy.Automated,
				Input: func() policy.Input { return s.input(image) },
			})
		}
		list = append(list, w)
	}
	return list
}

func (s *shop) input(image ref.Ref) policy.Input {
	in := policy.Input{Current: image, Tags: slices.Clone(s.tags[image.CanonicalName()]), Complete: true, Now: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)}
	for i, t := range in.Tags {
		for _, q := range s.quarantine {
			if q.Repository == image.CanonicalName() && q.Tag == t.Tag {
				in.Tags[i].Quarantined = q.Reason
			}
		}
	}
	return in
}

func (s *shop) exists(image ref.Ref) (string, error) {
	for _, t := range s.tags[image.CanonicalName()] {
		if t.Tag == image.Tag {
			return "", nil
		}
	}
	return "", fmt.Errorf("%s has no such tag", image.CanonicalName())
}
