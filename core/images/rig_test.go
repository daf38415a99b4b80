package images_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/cache"
	"github.com/sluice-gitops/sluice/core/images/limit"
	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/images/registrytest"
	"github.com/sluice-gitops/sluice/core/images/remote"
)

const cluster = "applier.kubernetes.prod"

// rig is a scanner on a real registry, with a real client, broker and cache.
type rig struct {
	*images.Scanner
	t        testing.TB
	registry *registrytest.Registry
	broker   *credentials.Broker
	dir      string
	settings images.Settings
	close    func()

	tell func(images.Change) // also gets the changes; set before SetTargets

	mu      sync.Mutex
	changes []images.Change
}

// start starts a scanner that scans only when it is asked to, as its interval
// is long.
func start(t testing.TB, reg *registrytest.Registry, settings images.Settings, chain ...credentials.Provider) *rig {
	t.Helper()
	r := &rig{t: t, registry: reg, dir: filepath.Join(t.TempDir(), "data"), settings: settings}
	if r.settings.Interval == 0 {
		r.settings.Interval = time.Hour
	}
	r.broker = credentials.New(credentials.Options{})
	r.broker.Configure(chain)
	t.Cleanup(func() {
		if err := r.broker.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	r.open()
	t.Cleanup(func() { r.close() })
	return r
}

func (r *rig) open() {
	r.t.Helper()
	store, err := cache.Open(r.dir, cache.Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	fast := func(string) limit.Limits { return limit.Limits{RPS: 5000, Burst: 500} }
	client, err := remote.New(remote.Options{
		Credentials: r.broker, Limiter: limit.New(limit.Options{Ceiling: fast}),
		Hosts: func(string) remote.Host { return remote.Host{Endpoint: "http://" + r.registry.Host, Insecure: true} },
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.Scanner, err = images.New(images.Options{
		Settings: r.settings, Credentials: r.broker, Client: client, Cache: store, Changed: r.changed, Spread: -1,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.close = func() {
		if err := r.Close(context.Background()); err != nil {
			r.t.Error(err)
		}
		client.Close()
		if err := store.Close(); err != nil {
			r.t.Error(err)
		}
	}
}

// restart does what a restart of the daemon does.
func (r *rig) restart() {
	r.t.Helper()
	r.close()
	r.open()
}

func (r *rig) changed(c images.Change) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes = append(r.changes, c)
	if r.tell != nil {
		r.tell(c)
	}
}

// news returns the changes since the last call.
func (r *rig) news() []images.Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.changes = nil }()
	return r.changes
}

// scan scans now and fails the test if that fails.
func (r *rig) scan(targets ...images.Target) []images.Result {
	r.t.Helper()
	results := r.Scan(r.t.Context(), targets, nil)
	for _, res := range results {
		if res.Err != nil || res.Skipped != "" {
			r.t.Fatalf("%s: %v %s", res.Repository, res.Err, res.Skipped)
		}
	}
	return results
}

// view returns what is known and fails the test if that cannot be told.
func (r *rig) view(target images.Target) images.View {
	r.t.Helper()
	v, err := r.Known(r.t.Context(), target)
	if err != nil {
		r.t.Fatal(err)
	}
	return v
}

// target is a container that runs repository:tag of the rig's registry, which
// every host is an alias of. A limiter begins slowly with each host.
func (r *rig) target(namespace, repository, tag, pattern string) images.Target {
	r.t.Helper()
	return r.targetAt("registry.test", namespace, repository, tag, pattern)
}

func (r *rig) targetAt(host, namespace, repository, tag, pattern string) images.Target {
	r.t.Helper()
	image, err := ref.Parse(host + "/" + repository + ":" + tag)
	if err != nil {
		r.t.Fatal(err)
	}
	target := images.Target{
		Workload: namespace + ":deployment/" + repository, Container: "app", Image: image,
		Consumer: credentials.Consumer{Applier: cluster, Namespace: namespace, ServiceAccount: "default"},
	}
	if pattern != "" {
		p, err := policy.Parse(pattern)
		if err != nil {
			r.t.Fatal(err)
		}
		target.Rules = &policy.Rules{Policy: p}
	}
	return target
}

// builds are images app-1, app-2, ..., each built a minute after the last.
func builds(n int) []registrytest.Image {
	made := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	all := make([]registrytest.Image, n)
	for i := range all {
		all[i] = registrytest.Image{
			Tags:      []string{fmt.Sprintf("1.%d.0", i)},
			Created:   made.Add(time.Duration(i) * time.Minute),
			Platforms: []string{"linux/amd64", "linux/arm64"},
			Content:   fmt.Sprint("build ", i),
		}
	}
	return all
}

// buildsOf are builds that no other repository has: what is read of an image
// in one is known in all.
func buildsOf(repository string, n int) []registrytest.Image {
	all := builds(n)
	for i := range all {
		all[i].Content += " of " + repository
	}
	return all
}

// answered counts the requests that were answered as they should be since
// Reset, by class: without the challenge that the first to a host meets.
func answered(reg *registrytest.Registry) map[string]int {
	counts := map[string]int{}
	for _, q := range reg.Requests() {
		if q.Status < 300 && q.Class != "token" {
			counts[q.Class]++
		}
	}
	return counts
}

func names(tags []images.Tag) []string {
	all := make([]string, len(tags))
	for i, t := range tags {
		all[i] = t.Name
	}
	return all
}

// tag returns the one with the name.
func tag(t testing.TB, v images.View, name string) images.Tag {
	t.Helper()
	i := slices.IndexFunc(v.Tags, func(t images.Tag) bool { return t.Name == name })
	if i < 0 {
		t.Fatalf("%s is not among %v", name, names(v.Tags))
	}
	return v.Tags[i]
}
