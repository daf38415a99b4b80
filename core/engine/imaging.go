package engine

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/event"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/cache"
	"github.com/sluice-gitops/sluice/core/images/glob"
	"github.com/sluice-gitops/sluice/core/images/limit"
	"github.com/sluice-gitops/sluice/core/images/remote"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// imaging is what a daemon has for images and their registries.
type imaging struct {
	registries atomic.Pointer[[]config.Registry] // of the running configuration
	limiter    *limit.Limiter
	client     *remote.Client
	cache      *cache.Cache
	scanner    *images.Scanner
	chain      []credentials.Provider // as configured last; only adopt uses it

	retargeting sync.Mutex // from collecting what runs until the scanner has it
}

// openImaging opens what looks into registries. e.broker stands already.
func (e *Engine) openImaging(cfg *config.Config) error {
	im := &imaging{}
	im.registries.Store(&cfg.Registries)
	im.limiter = limit.New(limit.Options{Ceiling: im.ceiling})
	var err error
	im.client, err = remote.New(remote.Options{
		Credentials: e.broker, Hosts: im.host, Limiter: im.limiter, Logger: e.log, UserAgent: "sluice/" + e.opts.Version,
	})
	if err != nil {
		return fmt.Errorf("engine: images: %w", err)
	}
	e.onClose(func(context.Context) error { im.client.Close(); return nil })
	im.cache, err = cache.Open(e.dataDir, cache.Options{MaxBytes: cfg.Images.CacheSize, Logger: e.log})
	if err != nil {
		return fmt.Errorf("engine: images: %w", err)
	}
	e.onClose(func(context.Context) error { return im.cache.Close() })
	im.scanner, err = images.New(images.Options{
		Settings: scanSettings(cfg.Images), Credentials: e.broker, Client: im.client, Cache: im.cache,
		Logger: e.log, Changed: e.imagesChanged, Turned: e.lookAtNews,
	})
	if err != nil {
		return fmt.Errorf("engine: images: %w", err)
	}
	e.onClose(im.scanner.Close)
	e.imaging = im
	return nil
}

// configureImaging takes up what a configuration says of images. The chain of
// credentials comes first: what it replaces may use the old plugin host. What
// could not be scanned is tried again if registries are reached in another way,
// or with other credentials, than before.
func (e *Engine) configureImaging(c *candidate) {
	chain := e.providers(c)
	e.broker.Configure(chain)
	im := e.imaging
	if im == nil {
		return
	}
	before := im.registries.Swap(&c.cfg.Registries)
	changed := !slices.EqualFunc(*before, c.cfg.Registries, sameRegistry) || !slices.EqualFunc(im.chain, chain, sameProvider)
	im.chain = chain
	im.scanner.Configure(scanSettings(c.cfg.Images))
	if changed {
		im.scanner.Retry()
	}
}

func sameRegistry(a, b config.Registry) bool {
	a.Range, b.Range = diag.Range{}, diag.Range{}
	return reflect.DeepEqual(a, b)
}

func sameProvider(a, b credentials.Provider) bool {
	return a.Address == b.Address && a.Key == b.Key && slices.Equal(a.Match, b.Match)
}

func scanSettings(i config.Images) images.Settings {
	return images.Settings{
		Scan: images.Mode(i.Scan), Interval: i.Interval,
		Include: i.Include, Exclude: i.Exclude, TrustLabels: i.TrustLabels,
	}
}

// registry returns the registry block for a host: of those that fit, the one
// that names most of it.
func (im *imaging) registry(host string) config.Registry {
	best, most := config.DefaultRegistry, -1
	for _, r := range *im.registries.Load() {
		pattern := credentials.CanonicalHost(r.Host)
		if !glob.Match(pattern, credentials.CanonicalHost(host)) { // not path.Match, to which the brackets of IPv6 are special
			continue
		}
		if named := len(pattern) - strings.Count(pattern, "*"); named > most {
			best, most = r, named
		}
	}
	return best
}

func (im *imaging) ceiling(host string) limit.Limits {
	r := im.registry(host)
	return limit.Limits{RPS: r.RPS, Burst: r.Burst, Reserve: r.Reserve / 100}
}

func (im *imaging) host(host string) remote.Host {
	r := im.registry(host)
	return remote.Host{Endpoint: r.Endpoint, CA: r.CA, Cert: r.Cert, Key: r.Key, Insecure: r.Insecure, API: r.API}
}

// imagesChanged has automations look at the news of a repository, and tells it
// as one event, with the containers whose policy takes one of the new tags.
func (e *Engine) imagesChanged(c images.Change) {
	e.lookAtNews(c.Targets)
	if c.First {
		return
	}
	var taken, takers, workloads, containers, appliers []string
	for _, t := range c.Targets {
		if t.Rules == nil {
			continue
		}
		tags := slices.DeleteFunc(slices.Concat(c.New, c.Moved), func(tag string) bool { return !t.Rules.Policy.Matches(tag) })
		if len(tags) == 0 {
			continue
		}
		taken = append(taken, tags...)
		takers = append(takers, of(t.Container)+t.Workload)
		workloads, containers = append(workloads, t.Workload), append(containers, t.Container)
		appliers = append(appliers, t.Consumer.Applier)
	}
	if len(taken) == 0 {
		return
	}
	e.publishEvent(event.Event{
		Node: only(appliers), Reason: eventNewImages, Object: only(workloads), Severity: event.Info,
		Message: fmt.Sprintf("%s: %s has %s", some(takers), c.Repository, few(distinct(taken))),
		Attrs:   map[string]string{"repository": c.Repository, "container": only(containers), "takers": fmt.Sprint(len(takers))},
	})
}

// only is what all texts are, "" if there are several.
func only(texts []string) string {
	if all := distinct(texts); len(all) == 1 {
		return all[0]
	}
	return ""
}

// some names the first few of names, and counts the others.
func some(names []string) string {
	const most = 3
	names = distinct(names)
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

// distinct returns texts sorted, each once.
func distinct(texts []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(texts)))
}

// lookAtNews has the automations look that the targets concern: those of the
// syncs that own them. What no container has may be in the files of any sync.
func (e *Engine) lookAtNews(targets []images.Target) {
	e.mu.Lock()
	defer e.mu.Unlock()
	concerned := map[string]bool{} // by applier and workload
	for _, t := range targets {
		if t.Rules != nil && t.Consumer.Applier == "" {
			e.hearNews("")
			return
		}
		if t.Rules != nil {
			concerned[t.Consumer.Applier+" "+t.Workload] = true
		}
	}
	syncs := map[string]bool{}
	for applier, list := range e.workloads {
		for _, w := range list {
			if concerned[applier+" "+w.ID] {
				syncs[w.Sync()] = true
			}
		}
	}
	delete(syncs, "")
	for sync := range syncs {
		e.hearNews(sync)
	}
}

// of begins what is said of a container, where there is one.
func of(container string) string {
	if container == "" {
		return ""
	}
	return container + " of "
}

// few names the first tags.
func few(tags []string) string {
	const most = 5
	slices.SortFunc(tags, func(a, b string) int { return cmp.Compare(b, a) })
	if len(tags) <= most {
		return strings.Join(tags, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(tags[:most], ", "), len(tags)-most)
}
