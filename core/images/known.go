package images

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/core/images/cache"
	"github.com/sluice-gitops/sluice/core/images/natural"
	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

// Known returns what is known of target's repository. It sends nothing to a
// registry; it may ask the broker which credential the target has. Without a
// listing the View has no tags and says why. The error is that of ctx, or
// ErrClosed.
func (s *Scanner) Known(ctx context.Context, target Target) (View, error) {
	ctx, end, err := s.enter(ctx)
	if err != nil {
		return View{}, err
	}
	defer end()
	v := View{Repository: target.Image.CanonicalName(), Image: target.Image.String(),
		Current: cmp.Or(currentTag(target.Image), target.Image.Digest)}
	if target.Rules != nil {
		v.Policy = target.Rules.String()
	}
	key, n, err := s.lookUp(ctx, target, &v)
	if ctx.Err() != nil {
		return View{}, context.Cause(ctx)
	}
	if err != nil {
		v.Error = err.Error() // it leaves out the repository
		return v, nil
	}
	v.Scanned, v.Changed, v.FailedAt = n.Scanned, n.Changed, n.FailedAt
	v.Vanished = n.Vanished
	v.Error, v.Warning = cmp.Or(v.Error, n.Error), cmp.Or(v.Warning, n.Warning)
	f, ok := s.facts(key)
	if !ok {
		v.Error = cmp.Or(v.Error, notYet(v))
		return v, nil
	}
	v.Native = f.listing.Native
	f.fill(&v, target, n.Suspects)
	return v, nil
}

// lookUp finds the repository that target sees, and what is noted of it.
func (s *Scanner) lookUp(ctx context.Context, target Target, v *View) (cache.Key, note, error) {
	own := subjects([]Target{target})[0]
	s.mu.Lock()
	sub := s.subjects[own.id]
	if sub == nil {
		sub = own
	}
	v.Skipped = s.skip(&subject{name: own.name, targets: append(own.targets, sub.targets...)})
	if r := sub.repo; r != nil {
		defer s.mu.Unlock()
		v.Next = r.next()
		if sub.err != nil {
			v.Error = sub.err.Error()
		}
		if r.trouble != nil {
			v.Warning = r.trouble.Error()
		}
		return r.key, r.note, nil
	}
	v.Next, _ = s.table.Next(subjectKey(sub))
	s.mu.Unlock()
	key, err := s.keyOf(ctx, own)
	if err != nil {
		s.mu.Lock()
		last, ok := s.seen[own.id]
		s.mu.Unlock()
		if !ok {
			return cache.Key{}, note{}, err
		}
		key, v.Error = last, err.Error()
	}
	return key, s.readNote(key), nil
}

// notYet says why there is no listing, and when there will be.
func notYet(v View) string {
	const now = "; --scan does it now"
	wait := time.Until(v.Next).Round(time.Second)
	switch {
	case v.Skipped == excluded || v.Skipped == notIncluded:
		return v.Skipped
	case v.Skipped != "":
		return "not scanned: " + v.Skipped + now
	case v.Next.IsZero():
		return "not scanned yet" + now
	case wait <= 0:
		return "not scanned yet: it begins just now"
	}
	return "not scanned yet: due in " + wait.String() + now
}

// fill adds the tags, and what follows from them.
func (f facts) fill(v *View, target Target, s *suspects) {
	p := policyOf(target)
	needs := needsOf([]Target{target}, f.trusted)
	timed := len(f.listing.Tags) > 0
	suspect := s.names(f.listing.Tags)
	for _, t := range f.listing.Tags {
		a := f.needed(t, needs)
		tag := Tag{
			Name: t.Name, Created: a.time, From: a.from, Digest: a.digest, Platforms: a.image.Platforms,
			Matches: p != nil && p.Matches(t.Name), Suspect: suspect[t.Name], Problem: a.problem,
		}
		if a.missing && needs.tag(t.Name) {
			v.Missing = append(v.Missing, t.Name)
		}
		if tag.Suspect {
			v.Suspects = append(v.Suspects, Vanished{Name: t.Name, Since: s.Since, Digest: a.digest, Created: a.time})
		}
		timed = timed && !a.time.IsZero()
		v.Tags = append(v.Tags, tag)
	}
	v.Complete = len(v.Missing) == 0
	v.Running = f.running(target.Image)
	mark(v.Tags, target)
	order(v.Tags, p, timed)
}

// running returns what is known of the image that r is pinned to, nil if it is
// not.
func (f facts) running(r ref.Ref) *Tag {
	if r.Digest == "" {
		return nil
	}
	a := f.of(registry.Tag{Name: r.Tag, Digest: r.Digest})
	return &Tag{Name: r.Tag, Digest: r.Digest, Created: a.time, From: a.from, Platforms: a.image.Platforms}
}

// policyOf is the policy of t, nil if it has none.
func policyOf(t Target) *policy.Policy {
	if t.Rules == nil {
		return nil
	}
	return &t.Rules.Policy
}

// mark finds the tag that runs: the one of the reference, or without one the
// first that names the digest.
func mark(tags []Tag, target Target) {
	name := currentTag(target.Image)
	i := slices.IndexFunc(tags, func(t Tag) bool {
		return name != "" && t.Name == name || name == "" && t.Digest != "" && t.Digest == target.Image.Digest
	})
	if i >= 0 {
		tags[i].Current = true
	}
}

// order puts the newest first, see View.Tags.
func order(tags []Tag, p *policy.Policy, timed bool) {
	if p == nil {
		slices.SortFunc(tags, func(a, b Tag) int {
			if timed {
				return cmp.Or(b.Created.Compare(a.Created), natural.Compare(b.Name, a.Name))
			}
			return natural.Compare(b.Name, a.Name)
		})
		return
	}
	byName := make(map[string]Tag, len(tags))
	candidates := make([]policy.Candidate, len(tags))
	for i, t := range tags {
		byName[t.Name] = t
		candidates[i] = policy.Candidate{Tag: t.Name, Time: t.Created}
	}
	p.Sort(candidates)
	for i, c := range candidates {
		tags[i] = byName[c.Tag]
	}
}

// Resolve reads the images of some tags of target's repository unless they are
// known, for people to look at. Tags that cannot be read have a Problem in the
// View; the error is about the repository.
func (s *Scanner) Resolve(ctx context.Context, target Target, tags []string) error {
	ctx, end, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer end()
	sub := subjects([]Target{target})[0]
	s.mu.Lock()
	skipped := s.filter.refuses(sub.name)
	s.mu.Unlock()
	if skipped != "" {
		return nil // the View says so
	}
	key, err := s.keyOf(ctx, sub)
	if err != nil {
		return err
	}
	f, _ := s.facts(key)
	listed := byName(f.listing.Tags)
	var wanted []want
	for _, name := range tags {
		t, ok := listed[name]
		if !ok {
			t = registry.Tag{Name: name}
		}
		n := f.negatives[name]
		if a := f.of(t); a.missing || n.Reason != "" && time.Now().After(n.Until) {
			wanted = append(wanted, want{tag: name, digest: t.Digest, last: f.digests[name].Digest})
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	r := newReader(s.opts, sub.req, f)
	err = r.readAll(ctx, wanted)
	return cmp.Or(r.keep(key, &fetched{}, time.Now()), err)
}
