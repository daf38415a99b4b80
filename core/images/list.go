package images

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/images/cache"
	"github.com/sluice-gitops/sluice/core/images/remote"
	"github.com/sluice-gitops/sluice/core/sched"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

const (
	// listTimeout bounds a listing with all its waiting.
	listTimeout = 10 * time.Minute
	// sweepEvery is how often a listing that may stop at what is known goes on
	// to the end, to see what was deleted.
	sweepEvery = 24 * time.Hour
	// patience is how many times a lister may fail before the registry protocol
	// takes its place, for policies that go by its times.
	patience = 3
)

// listed is a complete listing.
type listed struct {
	tags    map[string]registry.Tag
	native  bool
	whole   bool   // not only the news
	warning string // why it is not as it should be
}

// list makes a listing of r and stores what comes of it.
func (s *Scanner) list(ctx context.Context, r *repository, fl *flight) error {
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	req, err := s.leader(ctx, r)
	if err != nil {
		return err
	}
	prev, had := s.opts.Cache.Listing(r.key)
	got, err := s.read(ctx, r, fl, req, prev)
	if err != nil {
		return err
	}
	// What was read with another credential than it began with is nobody's.
	cred, err := s.opts.Credentials.Credential(ctx, req)
	switch {
	case err != nil:
		return &credentialError{err}
	case cred.ID != r.key.Credential:
		return errMoved
	}
	return s.store(r, fl, prev, had, got)
}

// leader returns what to ask with, after it has looked whether the subjects of
// r still have the credential that r is about.
func (s *Scanner) leader(ctx context.Context, r *repository) (credentials.Request, error) {
	s.mu.Lock()
	parties := r.parties()
	r.tried = nil
	s.mu.Unlock()
	var leader *subject
	var failed error
	for _, sub := range parties {
		cred, err := s.opts.Credentials.Credential(ctx, sub.req)
		if ctx.Err() != nil {
			return credentials.Request{}, context.Cause(ctx)
		}
		s.mu.Lock()
		switch {
		case err != nil:
			sub.err = plain(err, r.name())
			failed = &credentialError{err}
		case cred.ID != r.key.Credential:
			if s.subjects[sub.id] == sub && sub.repo == r {
				s.place(sub, cred.ID)
			}
		default:
			sub.err = nil
			if leader == nil {
				leader, r.tried = sub, secretsOf(cred)
			}
		}
		s.mu.Unlock()
	}
	if leader == nil {
		return credentials.Request{}, cmp.Or(failed, errMoved)
	}
	return leader.req, nil
}

// read lists by the lister of the credential's provider if it has one, else by
// the client.
func (s *Scanner) read(ctx context.Context, r *repository, fl *flight, req credentials.Request, prev cache.Listing) (listed, error) {
	s.mu.Lock()
	n, asked := r.note, fl.priority == sched.Interactive
	times := needsTimes(targetsOf(r.parties()))
	s.mu.Unlock()

	got := listed{tags: map[string]registry.Tag{}, whole: true}
	native, err := s.opts.Credentials.Tags(ctx, req, got.add)
	switch {
	case err == nil && native:
		got.native = true
		return got, nil
	case ctx.Err() != nil:
		return listed{}, context.Cause(ctx)
	case err != nil && times && n.Failures < patience:
		return listed{}, fmt.Errorf("%s: the tags with times: %w", r.name(), err)
	case err != nil:
		got.warning = fmt.Sprintf("listed without times, because the API that has them fails: %v", plain(err, r.name()))
	}
	got.tags = map[string]registry.Tag{}
	o := remote.TagsOptions{Times: times}
	if prev.Native && n.Suspects == nil && !asked && time.Since(n.Swept).Abs() < sweepEvery {
		o.Known = sameAs(prev.Tags)
	}
	l, err := s.opts.Client.Tags(ctx, req, o, got.add)
	if err != nil {
		return listed{}, err // it names the repository
	}
	got.native, got.whole = l.Native, !l.Stopped
	return got, nil
}

// bounded cuts a text that comes from elsewhere to what is worth keeping.
func bounded(text string) string {
	const most = 1000
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}

// maxTag is how long a tag can be, by the specification.
const maxTag = 128

// add takes a tag; one that no reference can name is of no use to anybody.
func (l *listed) add(t registry.Tag) {
	if t.Name != "" && len(t.Name) <= maxTag {
		l.tags[t.Name] = t
	}
}

// sameAs reports whether a tag is in tags just so.
func sameAs(tags []registry.Tag) func(registry.Tag) bool {
	known := byName(tags)
	return func(t registry.Tag) bool {
		k, ok := known[t.Name]
		return ok && k.Digest == t.Digest && k.Pushed.Equal(t.Pushed) && k.Created.Equal(t.Created)
	}
}

// store merges got into what counts and writes it to the cache.
func (s *Scanner) store(r *repository, fl *flight, prev cache.Listing, had bool, got listed) error {
	now := time.Now()
	s.mu.Lock()
	n := r.note
	targets := targetsOf(r.parties())
	s.mu.Unlock()
	if !got.whole {
		for name, t := range byName(prev.Tags) {
			if _, ok := got.tags[name]; !ok {
				got.tags[name] = t
			}
		}
	}
	d := merge(prev.Tags, n.Suspects.names(prev.Tags), got.tags, needsTimes(targets))
	vanished := s.obituaries(r.key, d.gone, now)
	native := got.native || prev.Native && len(d.suspects) > 0 && had
	if _, err := s.opts.Cache.PutListing(r.key, cache.Listing{Tags: d.tags, At: now, Native: native}); err != nil {
		return fmt.Errorf("%s: the tags: %w", r.name(), err)
	}
	n.Vanished = remember(n.Vanished, vanished, byName(d.tags), running(targets), now)
	n.Suspects, n.Scanned, n.Warning = suspectsOf(d.tags, d.suspects, now), now, bounded(got.warning)
	fl.well = n.Failures >= lasting
	n.Failures, n.Problem, n.Error, n.FailedAt, n.Failing = 0, "", "", time.Time{}, time.Time{}
	if got.whole {
		n.Swept = now
	}
	if d.news() || !had {
		n.Changed, n.Quiet = now, 0
		fl.news = true
	} else {
		n.Quiet++
	}
	return s.record(r, fl, d, n, native, !had)
}

// record takes over what a listing brought, and writes it down before images
// are read, which can take long.
func (s *Scanner) record(r *repository, fl *flight, d delta, n note, native, first bool) error {
	c := &fl.change
	fl.listed = true
	c.First = c.First || first
	c.New = append(c.New, d.fresh...)
	c.Moved = append(c.Moved, d.moved...)
	for _, t := range d.gone {
		c.Vanished = append(c.Vanished, t.Name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n.Next = n.Scanned.Add(s.interval(n.Quiet))
	r.note, r.tags, r.native, r.suspects = n, len(d.tags), native, len(d.suspects)
	s.metrics(r.key.Host).Scans++
	return s.writeNote(r.key, n)
}

// obituaries tells of tags that are gone what is known, before the cache
// forgets it with the listing.
func (s *Scanner) obituaries(k cache.Key, gone []registry.Tag, now time.Time) []Vanished {
	var all []Vanished
	for _, t := range gone {
		v := Vanished{Name: t.Name, Since: now, Digest: t.Digest, Created: nativeTime(t)}
		if v.Digest == "" {
			d, _ := s.opts.Cache.Digest(k, t.Name)
			v.Digest = d.Digest
		}
		if img, ok := s.opts.Cache.Image(v.Digest); ok && v.Created.IsZero() {
			v.Created = img.Created
		}
		all = append(all, v)
	}
	return all
}

// running returns the tags that targets run.
func running(targets []Target) map[string]bool {
	tags := map[string]bool{}
	for _, t := range targets {
		tags[currentTag(t.Image)] = true
	}
	return tags
}
