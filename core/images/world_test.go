package images_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/cache"
	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/images/remote"
	"github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// world is all registries there are, and the broker for them, in memory: it
// behaves as they do and takes its time, in a bubble of testing/synctest.
type world struct {
	mu       sync.Mutex
	tags     map[string]map[string]registry.Tag // repository -> name
	made     map[string]cache.Image             // by digest
	fail     map[string]error                   // by repository, or repository:tag for its manifest
	native   map[string]bool                    // the broker lists it, with times
	newest   map[string]bool                    // its API lists with times, the newest first
	nativeKO error                              // why the broker cannot list
	ids      map[string]string                  // credential by namespace
	values   map[string]string                  // password by namespace
	noID     error                              // why there is no credential
	good     string                             // the only password that is let in, unless empty
	latency  map[string]time.Duration           // by host
	sent     map[string]int                     // requests, by kind and repository
	times    map[string][]time.Time             // of listings, by repository
}

func newWorld() *world {
	return &world{tags: map[string]map[string]registry.Tag{}, made: map[string]cache.Image{}, fail: map[string]error{},
		native: map[string]bool{}, newest: map[string]bool{}, ids: map[string]string{}, values: map[string]string{}, latency: map[string]time.Duration{},
		sent: map[string]int{}, times: map[string][]time.Time{}}
}

// push makes name a tag of an image that was made now, and not before.
func (w *world) push(repository, name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(fmt.Append(nil, repository, name, now)))
	w.made[digest] = cache.Image{Digest: digest, MediaType: "application/vnd.oci.image.manifest.v1+json", Created: now, CreatedFrom: "config",
		Platforms: []cache.Platform{{OS: "linux", Architecture: "amd64"}}}
	if w.tags[repository] == nil {
		w.tags[repository] = map[string]registry.Tag{}
	}
	w.tags[repository][name] = registry.Tag{Name: name, Digest: digest, Pushed: now}
}

// request waits as long as an answer takes, and counts it.
func (w *world) request(ctx context.Context, kind string, req credentials.Request) (repository string, err error) {
	repository = req.Host + "/" + req.Repository
	w.mu.Lock()
	wait := w.latency[req.Host]
	w.sent[kind+" "+repository]++
	if kind == "tags" || kind == "native" {
		w.times[repository] = append(w.times[repository], time.Now())
	}
	w.mu.Unlock()
	select {
	case <-time.After(max(wait, time.Millisecond)):
	case <-ctx.Done():
		return "", ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.good != "" && w.values[req.Consumer.Namespace] != w.good {
		return "", &remote.Error{Host: req.Host, Repository: req.Repository, Asked: "the tags", Status: 401}
	}
	return repository, w.fail[repository]
}

// counts returns the requests since the last call.
func (w *world) counts() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.sent = map[string]int{} }()
	return w.sent
}

// gaps returns the times between listings of a repository.
func (w *world) gaps(repository string) []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var gaps []time.Duration
	at := w.times[repository]
	for i := 1; i < len(at); i++ {
		gaps = append(gaps, at[i].Sub(at[i-1]).Round(time.Second))
	}
	return gaps
}

// set changes the world between requests.
func (w *world) set(change func(w *world)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(w)
}

// broker is the world as the broker of credentials.
type broker struct{ *world }

func (b broker) Credential(_ context.Context, req credentials.Request) (credentials.Credential, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.noID != nil {
		return credentials.Credential{}, b.noID
	}
	c := credentials.Credential{ID: b.ids[req.Consumer.Namespace]}
	c.Password = secret.New(b.values[req.Consumer.Namespace])
	return c, nil
}

func (b broker) Look(ctx context.Context, req credentials.Request) (credentials.Credential, error) {
	return b.Credential(ctx, req)
}

func (b broker) Tags(ctx context.Context, req credentials.Request, emit func(registry.Tag)) (bool, error) {
	b.mu.Lock()
	native, ko := b.native[req.Host+"/"+req.Repository], b.nativeKO
	b.mu.Unlock()
	if !native {
		return false, nil
	}
	repository, err := b.request(ctx, "native", req)
	if err != nil || ko != nil {
		return false, cmp.Or(err, ko)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range b.tags[repository] {
		emit(t)
	}
	return true, nil
}

// client is the world as the client of registries.
type client struct{ *world }

func (c client) Tags(ctx context.Context, req credentials.Request, o remote.TagsOptions, emit func(registry.Tag)) (remote.Listing, error) {
	repository, err := c.request(ctx, "tags", req)
	if err != nil {
		return remote.Listing{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	timed := o.Times && c.newest[repository]
	all := slices.SortedFunc(maps.Values(c.tags[repository]), func(a, b registry.Tag) int { return b.Pushed.Compare(a.Pushed) })
	for _, t := range all {
		if !timed {
			t = registry.Tag{Name: t.Name}
		}
		emit(t)
		if timed && o.Known != nil && o.Known(t) {
			return remote.Listing{Native: true, Stopped: true}, nil
		}
	}
	return remote.Listing{Native: timed}, nil
}

func (c client) Head(ctx context.Context, req credentials.Request, tag string) (string, error) {
	repository, err := c.request(ctx, "head", req)
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.digest(repository, tag)
}

// digest resolves a tag or digest. c.mu is held.
func (c client) digest(repository, ref string) (string, error) {
	if err := c.fail[repository+":"+ref]; err != nil {
		return "", err
	}
	if t, ok := c.tags[repository][ref]; ok {
		return t.Digest, nil
	}
	if _, ok := c.made[ref]; ok {
		return ref, nil
	}
	return "", &remote.Error{Host: "h", Repository: repository, Asked: "the manifest " + ref, Status: 404, Code: "MANIFEST_UNKNOWN"}
}

func (c client) Image(ctx context.Context, req credentials.Request, ref string, o remote.ImageOptions) (cache.Image, error) {
	repository, err := c.request(ctx, "image", req)
	if err != nil {
		return cache.Image{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	digest, err := c.digest(repository, ref)
	if err != nil {
		return cache.Image{}, err
	}
	if img, ok := o.Known(digest); ok {
		return img, nil
	}
	return c.made[digest], nil
}

// station is a scanner in a world.
type station struct {
	*images.Scanner
	t       *testing.T
	world   *world
	dir     string
	options images.Options
	changes []images.Change
	mu      sync.Mutex
	close   func()
}

// inWorld starts a scanner with intervals of ten minutes and without jitter.
func inWorld(t *testing.T, w *world, settings images.Settings) *station {
	t.Helper()
	if settings.Interval == 0 {
		settings.Interval = 10 * time.Minute
	}
	s := &station{t: t, world: w, dir: filepath.Join(t.TempDir(), "data")}
	s.options = images.Options{
		Settings: settings, Credentials: broker{w}, Client: client{w}, Changed: s.changed, Spread: -1,
		Rand: func() float64 { return 0.5 },
	}
	s.open()
	return s
}

func (s *station) open() {
	s.t.Helper()
	store, err := cache.Open(s.dir, cache.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	s.options.Cache = store
	if s.Scanner, err = images.New(s.options); err != nil {
		s.t.Fatal(err)
	}
	s.close = func() {
		if err := s.Close(context.Background()); err != nil {
			s.t.Error(err)
		}
		if err := store.Close(); err != nil {
			s.t.Error(err)
		}
	}
}

func (s *station) changed(c images.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes = append(s.changes, c)
}

func (s *station) news() []images.Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.changes = nil }()
	return s.changes
}

func (s *station) target(namespace, image, pattern string) images.Target {
	s.t.Helper()
	r, err := ref.Parse(image)
	if err != nil {
		s.t.Fatal(err)
	}
	target := images.Target{Workload: namespace + ":deployment/app", Container: r.Repository, Image: r,
		Consumer: credentials.Consumer{Applier: cluster, Namespace: namespace, ServiceAccount: "default"}}
	if pattern != "" {
		p, err := policy.Parse(pattern)
		if err != nil {
			s.t.Fatal(err)
		}
		target.Rules = &policy.Rules{Policy: p}
	}
	return target
}

func (s *station) view(target images.Target) images.View {
	s.t.Helper()
	v, err := s.Known(s.t.Context(), target)
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}
