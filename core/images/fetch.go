package images

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/core/images/cache"
)

const (
	// portion is how many images are read before others have their turn, and
	// before what was read is written down.
	portion = 32
	// fetchTimeout bounds a portion with all its waiting.
	fetchTimeout = 10 * time.Minute
	// maxNegative bounds how long a tag that cannot be read is left alone.
	maxNegative = 24 * time.Hour
)

// want is a tag to ask the registry about.
type want struct {
	tag    string
	digest string // that the listing gives
	last   string // that it had when it was asked for last
}

// fetched is what a flight has read.
type fetched struct {
	resolved []string // tags whose image was not known
	moved    []string
	tried    map[string]bool
	missing  int           // images that policies need
	err      error         // why reading was given up
	retry    time.Duration // when to go on
}

// olderThan returns the tags that were resolved and are not among fresh ones.
func (f *fetched) olderThan(fresh []string) []string {
	isFresh := map[string]bool{}
	for _, t := range fresh {
		isFresh[t] = true
	}
	return slices.DeleteFunc(slices.Clone(f.resolved), func(t string) bool { return isFresh[t] })
}

// fetch reads the next portion of the images that policies need, and reports
// whether there are more to read.
func (s *Scanner) fetch(ctx context.Context, r *repository, fl *flight) (more bool) {
	got := &fl.fetched
	got.missing, got.err = 0, nil
	s.mu.Lock()
	targets := targetsOf(r.parties())
	s.mu.Unlock()
	f, ok := s.facts(r.key)
	if !ok || !needsTimes(targets) {
		return false
	}
	todo := slices.DeleteFunc(f.wants(targets, fl.listed, time.Now()), func(w want) bool { return got.tried[w.tag] })
	more = len(todo) > portion
	if len(todo) > 0 {
		got.err = s.fetchPortion(ctx, r, f, todo[:min(len(todo), portion)], got)
		f, _ = s.facts(r.key)
	}
	got.missing, got.retry = f.missing(targets, time.Now())
	return more && got.err == nil
}

func (s *Scanner) fetchPortion(ctx context.Context, r *repository, f facts, todo []want, got *fetched) error {
	req, err := s.leader(ctx, r)
	if err != nil {
		return err
	}
	if got.tried == nil {
		got.tried = map[string]bool{}
	}
	for _, w := range todo {
		got.tried[w.tag] = true
	}
	p := newReader(s.opts, req, f)
	err = p.readAll(ctx, todo)
	s.mu.Lock()
	m := s.metrics(r.key.Host)
	m.Images += p.images
	m.Digests += p.heads
	s.mu.Unlock()
	return cmp.Or(p.keep(r.key, got, time.Now()), err)
}

// wants returns what to ask about for targets, those that run first and then
// from the highest version down, as the newest is most likely there. With
// recheck, tags that may have moved are among them.
func (f facts) wants(targets []Target, recheck bool, now time.Time) []want {
	var todo []want
	current := running(targets)
	for _, t := range f.listing.Tags {
		if !concerns(targets, t.Name) {
			continue
		}
		a := f.of(t)
		n := f.negatives[t.Name]
		d := f.digests[t.Name]
		settled := !a.missing && (a.problem == "" || n.Reason == "")
		switch {
		case settled && (t.Digest != "" || d.Digest == ""):
		case settled && (!recheck || !due(d, current[t.Name], a.time, now)):
		case !settled && now.Before(n.Until) && n.Until.Sub(now) <= maxNegative:
		default:
			todo = append(todo, want{tag: t.Name, digest: t.Digest, last: d.Digest})
		}
	}
	slices.SortStableFunc(todo, func(a, b want) int {
		if current[a.tag] != current[b.tag] {
			if current[a.tag] {
				return -1
			}
			return 1
		}
		return natural(b.tag, a.tag)
	})
	return todo
}

// concerns reports whether the time of a tag matters to any of targets: to
// their policy, or to compare with what runs.
func concerns(targets []Target, tag string) bool {
	return slices.ContainsFunc(targets, func(t Target) bool {
		return t.Policy != nil && t.Policy.NeedsTimes() && (t.Policy.Matches(tag) || currentTag(t.Image) == tag)
	})
}

// missing counts the tags whose time a policy needs and that may become known,
// and returns when the first of them may be asked for again.
func (f facts) missing(targets []Target, now time.Time) (n int, retry time.Duration) {
	for _, t := range f.listing.Tags {
		if !concerns(targets, t.Name) || !f.of(t).missing {
			continue
		}
		wait := f.negatives[t.Name].Until.Sub(now)
		if n == 0 || wait < retry {
			retry = wait
		}
		n++
	}
	return n, max(retry, 0)
}

// due reports whether a tag that had d's digest may have moved since: when as
// much time has passed again as it was known to stay the same, within bounds.
func due(d cache.Digest, runs bool, made, now time.Time) bool {
	least, most := 24*time.Hour, 7*24*time.Hour
	if runs || d.Moves > 0 {
		least, most = 5*time.Minute, 24*time.Hour
	}
	since := d.Changed
	if !made.IsZero() && made.Before(since) {
		since = made
	}
	passed := now.Sub(d.At)
	return passed < 0 || passed >= min(max(d.At.Sub(since), least), most)
}
