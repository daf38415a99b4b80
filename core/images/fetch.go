package images

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/core/images/cache"
	"github.com/sluice-gitops/sluice/core/images/natural"
)

const (
	// portion is how many images are read before others have their turn, and
	// before what was read is written down.
	portion = 32
	// fetchTimeout bounds a portion with all its waiting.
	fetchTimeout = 10 * time.Minute
	// lookAgain is how often it is looked what has to be read though nothing is
	// known to have changed: the cache may have had no room.
	lookAgain = time.Hour
	// maxNegative bounds how long a tag that cannot be read is left alone.
	maxNegative = 24 * time.Hour
)

// want is a tag to ask the registry about.
type want struct {
	tag    string
	digest string // that the listing gives
	last   string // that it had when it was asked for last
	head   bool   // only its digest is wanted
}

// fetched is what a flight has read, and what it has still to read.
type fetched struct {
	resolved []string // tags whose image was not known
	moved    []string
	facts    facts // from when wanted was made
	wanted   []want
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
// whether there are more to read. With look it first looks what they need.
func (s *Scanner) fetch(ctx context.Context, r *repository, fl *flight, look bool) (more bool) {
	got := &fl.fetched
	got.missing, got.err = 0, nil
	s.mu.Lock()
	needs := needsOf(targetsOf(r.parties()), s.filter.trusts(r.name()))
	pins := fl.listed && len(needs.pins) > 0
	satisfied := !fl.news && !pins && r.satisfied == needs.key && time.Now().Before(r.until)
	s.mu.Unlock()
	if needs.nothing() || satisfied && len(got.wanted) == 0 {
		got.wanted = nil
		return false
	}
	if look {
		got.facts, _ = s.facts(r.key)
		wanted := got.facts.wants(needs, fl.listed, time.Now())
		wanted = append(wanted, got.facts.pins(needs, wanted, time.Now())...)
		got.wanted = slices.DeleteFunc(wanted, func(w want) bool { return got.tried[w.tag] })
	}
	if len(got.wanted) > 0 {
		next := got.wanted[:min(len(got.wanted), portion)]
		got.wanted = got.wanted[len(next):]
		got.err = s.fetchPortion(ctx, r, next, got)
	}
	if len(got.wanted) > 0 && got.err == nil {
		return true
	}
	s.review(r, needs, got)
	return false
}

// review looks what is missing still, and if that is nothing, when there may be
// something to read again.
func (s *Scanner) review(r *repository, needs needs, got *fetched) {
	now := time.Now()
	f, ok := s.facts(r.key)
	missing, retry, again := f.missing(needs, now)
	got.missing, got.retry = missing, retry
	s.mu.Lock()
	defer s.mu.Unlock()
	r.satisfied = ""
	if ok && missing == 0 && got.err == nil {
		r.satisfied, r.until = needs.key, now.Add(again)
	}
}

func (s *Scanner) fetchPortion(ctx context.Context, r *repository, wanted []want, got *fetched) error {
	req, err := s.leader(ctx, r)
	if err != nil {
		return err
	}
	if got.tried == nil {
		got.tried = map[string]bool{}
	}
	for _, w := range wanted {
		got.tried[w.tag] = true
	}
	p := newReader(s.opts, req, got.facts)
	err = p.readAll(ctx, wanted)
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
func (f facts) wants(needs needs, recheck bool, now time.Time) []want {
	var wanted []want
	current := needs.current
	for _, t := range f.listing.Tags {
		if !needs.tag(t.Name) {
			continue
		}
		a := f.needed(t, needs)
		n := f.negatives[t.Name]
		d := f.digests[t.Name]
		settled := !a.missing && (a.problem == "" || n.Reason == "")
		switch {
		case settled && (t.Digest != "" || d.Digest == ""):
		case settled && (!recheck || !due(d, current[t.Name], a.time, now)):
		case !settled && now.Before(n.Until) && n.Until.Sub(now) <= maxNegative:
		default:
			wanted = append(wanted, want{tag: t.Name, digest: t.Digest, last: d.Digest})
		}
	}
	slices.SortStableFunc(wanted, func(a, b want) int {
		if current[a.tag] != current[b.tag] {
			if current[a.tag] {
				return -1
			}
			return 1
		}
		return natural.Compare(b.tag, a.tag)
	})
	return wanted
}

// missing counts the tags whose time is needed and may become known, and
// returns when the first of them may be asked for again. Of the others, again
// tells when the first may be.
func (f facts) missing(needs needs, now time.Time) (n int, retry, again time.Duration) {
	again = lookAgain
	for _, t := range f.listing.Tags {
		if !needs.tag(t.Name) {
			continue
		}
		a, failed := f.needed(t, needs), f.negatives[t.Name]
		wait := failed.Until.Sub(now)
		switch {
		case a.missing:
			if n == 0 || wait < retry {
				retry = wait
			}
			n++
		case failed.Reason != "":
			again = min(again, wait)
		case t.Digest == "" && f.digests[t.Name].Digest != "":
			d := f.digests[t.Name]
			again = min(again, d.At.Add(recheck(d, needs.current[t.Name], a.time)).Sub(now))
		}
	}
	return n, max(retry, 0), again
}

// maxRecheck is how long a tag is believed not to have moved at most.
const maxRecheck = 7 * 24 * time.Hour

// recheck returns how long after it was asked for last a tag that had d's
// digest may have moved: as long as it was known to stay the same, within
// bounds.
func recheck(d cache.Digest, runs bool, made time.Time) time.Duration {
	least, most := 24*time.Hour, maxRecheck
	if runs || d.Moves > 0 {
		least, most = 5*time.Minute, 24*time.Hour
	}
	since := d.Changed
	if !made.IsZero() && made.Before(since) {
		since = made
	}
	return min(max(d.At.Sub(since), least), most)
}

// due reports whether a tag may have moved since it was asked for; it may also
// if the clock was set back since.
func due(d cache.Digest, runs bool, made, now time.Time) bool {
	passed := now.Sub(d.At)
	return passed < 0 || passed >= recheck(d, runs, made)
}
