package images

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/images/cache"
	"github.com/sluice-gitops/sluice/core/sched"
)

// subject is one way to ask for a repository: targets of one subject are alike
// to every provider of credentials.
type subject struct {
	id      string
	name    string // canonical name of the repository
	req     credentials.Request
	targets []Target
	skipped string      // why it is not scanned; empty: it is
	repo    *repository // nil until its credential is known
	err     error       // why that is so
	fresh   bool        // it has targets that are new to the world
}

// request is what the credential of t is looked for with.
func request(t Target) credentials.Request {
	return credentials.Request{Host: t.Image.Host(), Repository: t.Image.Path(), Consumer: t.Consumer}
}

func subjectID(req credentials.Request) string {
	c := req.Consumer
	parts := append([]string{req.Host, req.Repository, c.Applier, c.Namespace, c.ServiceAccount}, c.PullSecrets...)
	return strings.Join(parts, "\x00")
}

// subjects groups targets, in the order of repositories.
func subjects(targets []Target) []*subject {
	byID := map[string]*subject{}
	for _, t := range targets {
		req := request(t)
		id := subjectID(req)
		if byID[id] == nil {
			byID[id] = &subject{id: id, name: t.Image.CanonicalName(), req: req}
		}
		byID[id].targets = append(byID[id].targets, t)
	}
	return slices.SortedFunc(maps.Values(byID), func(a, b *subject) int { return strings.Compare(a.id, b.id) })
}

// wish is what a target wants of a repository.
type wish struct{ applier, workload, container, tag, policy, needs string }

func wishes(targets []Target) map[wish]bool {
	set := map[wish]bool{}
	for _, t := range targets {
		w := wish{applier: t.Consumer.Applier, workload: t.Workload, container: t.Container, tag: t.Image.Tag}
		if t.Rules != nil {
			w.policy = t.Rules.String()
			if needsMore([]Target{t}) {
				w.needs = needsOf([]Target{t}, false).key
			}
		}
		set[w] = true
	}
	return set
}

// arrange makes sub scanned, or not, as the settings want it: soon, with up to n
// others. s.mu is held.
func (s *Scanner) arrange(sub *subject, n int) {
	sub.skipped = s.skip(sub)
	switch {
	case sub.skipped != "":
		s.leave(sub)
	case sub.repo == nil:
		s.table.Set(subjectKey(sub), s.spread(n), 0)
	}
}

// skip returns why sub is not scanned without being asked for, or "".
func (s *Scanner) skip(sub *subject) string {
	if reason := s.filter.refuses(sub.name); reason != "" {
		return reason
	}
	switch s.settings.Scan {
	case None:
		return "scanning is off"
	case All:
		return ""
	}
	if slices.ContainsFunc(sub.targets, func(t Target) bool { return t.Rules != nil }) {
		return ""
	}
	return "not automated"
}

// leave ends the scans on behalf of sub. s.mu is held.
func (s *Scanner) leave(sub *subject) {
	s.table.Remove(subjectKey(sub))
	r := sub.repo
	if r == nil {
		return
	}
	sub.repo = nil
	delete(r.subjects, sub.id)
	s.discard(r)
}

// identify asks for the credential of sub and puts it to its repository.
func (s *Scanner) identify(ctx context.Context, sub *subject) {
	cred, err := s.opts.Credentials.Credential(ctx, sub.req)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.subjects[sub.id] != sub || sub.skipped != "" {
		return
	}
	if err != nil {
		sub.err = plain(err, sub.name)
		delay := s.table.Failed(subjectKey(sub))
		s.log.Warn("no credential for a repository", "repository", sub.name, "retry_in", delay, "error", sub.err)
		return
	}
	s.place(sub, cred.ID)
}

// place puts sub to the repository that it sees with the credential, and
// reports whether it was elsewhere. s.mu is held.
func (s *Scanner) place(sub *subject, credential string) (moved bool) {
	sub.err = nil
	key := cache.Key{Host: sub.req.Host, Repository: sub.req.Repository, Credential: credential}
	if sub.repo != nil && sub.repo.key == key {
		return false
	}
	old := sub.repo
	s.leave(sub)
	if old != nil {
		s.log.Info("the credential of a repository has changed", "repository", sub.name)
		s.lookSoon(old)
	}
	r := s.repository(key)
	sub.repo = r
	r.subjects[sub.id] = sub
	if len(r.subjects) == 1 && r.flight == nil {
		s.plan(r, 0)
	}
	if sub.fresh {
		sub.fresh = false
		s.snap(r)
	}
	s.kick(r)
	return true
}

// due starts what the timetable calls due. It is called by its goroutine.
func (s *Scanner) due(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	if sub := s.subjects[strings.TrimPrefix(key, subjectPrefix)]; sub != nil && strings.HasPrefix(key, subjectPrefix) {
		s.pool(sub.req.Host).Submit(key, sched.Interval, func(ctx context.Context) { s.identify(ctx, sub) })
		return
	}
	r := s.repos[key]
	if r == nil {
		return
	}
	late := !time.Now().Before(r.listAt)
	if r.note.Failures > 0 && r.flight == nil && !late {
		s.pool(r.key.Host).Submit(lookPrefix+key, sched.Interval, func(ctx context.Context) { s.reconsider(ctx, r) })
		return
	}
	s.begin(r, sched.Interval, late)
}

// The timetable and the pools know subjects and repositories by these keys.
const (
	subjectPrefix    = "subject "
	repositoryPrefix = "repository "
	lookPrefix       = "credential of " // only the pools
)

func subjectKey(sub *subject) string { return subjectPrefix + sub.id }

func repositoryKey(k cache.Key) string {
	return repositoryPrefix + strings.Join([]string{k.Host, k.Repository, k.Credential}, "\x00")
}
