package images

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/images/cache"
	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

// needs is what the rules of targets need to know beside the names of tags.
type needs struct {
	wants   []wanted        // times or platforms, each once
	current map[string]bool // the tags that run where times decide
	pins    []Target        // whose references are written with a digest
	key     string          // the same for the same needs
}

// wanted is what one set of rules wants to know.
type wanted struct {
	of       func(tag string) bool
	platform bool
}

func needsOf(targets []Target, trusted bool) needs {
	n := needs{current: map[string]bool{}}
	seen := map[string]bool{}
	for _, t := range targets {
		if t.Rules == nil || t.Rules.Err != nil {
			continue
		}
		if key := "pin " + wantKey(*t.Rules, t.Image) + " " + t.Image.String(); t.Rules.NeedsDigest(t.Image) && !seen[key] {
			seen[key] = true
			n.pins = append(n.pins, t)
		}
		if !t.Rules.NeedsTimes() && !t.Rules.NeedsPlatforms() {
			continue
		}
		if t.Rules.Policy.NeedsTimes() {
			n.current[currentTag(t.Image)] = true
		}
		if key := wantKey(*t.Rules, t.Image); !seen[key] {
			seen[key] = true
			n.wants = append(n.wants, wanted{t.Rules.Wants(t.Image), t.Rules.NeedsPlatforms()})
		}
	}
	n.key = fmt.Sprintf("%q %q %v", slices.Sorted(maps.Keys(seen)), slices.Sorted(maps.Keys(n.current)), trusted)
	return n
}

// wantKey is the same for rules that want the same. Where times decide, what
// runs is among needs.current; else it says which tags are worth a look.
func wantKey(r policy.Rules, current ref.Ref) string {
	key := fmt.Sprintf("%s %v %s", r, r.NeedsTimes(), strings.Join(r.Platforms, ","))
	if !r.Policy.NeedsTimes() {
		key += fmt.Sprintf(" %v %s", r.Downgrade, currentTag(current))
	}
	return key
}

func (n needs) nothing() bool { return len(n.wants)+len(n.pins) == 0 }

// tag reports whether the image of a tag matters: to rules, or to compare it with
// what runs.
func (n needs) tag(tag string) bool {
	return n.current[tag] || slices.ContainsFunc(n.wants, func(w wanted) bool { return w.of(tag) })
}

// platforms reports whether the platforms of a tag's image matter.
func (n needs) platforms(tag string) bool {
	return slices.ContainsFunc(n.wants, func(w wanted) bool { return w.platform && w.of(tag) })
}

// needed is of, but what no registry tells in a listing is missing too if it is
// needed.
func (f facts) needed(t registry.Tag, n needs) fact {
	a := f.of(t)
	if a.problem == "" && !a.missing && len(a.image.Platforms) == 0 && n.platforms(t.Name) {
		f.absent(t.Name, &a)
	}
	return a
}

// pins returns the tags whose digests are to be asked for since neither the
// listing told them nor anybody asked after it: of each target that is pinned the
// tag that runs, which may have moved, and the one that it would move to, unless
// images are wanted first. One HEAD tells.
func (f facts) pins(n needs, wanted []want, now time.Time) []want {
	if len(n.pins) == 0 {
		return nil
	}
	listed, done := byName(f.listing.Tags), map[string]bool{}
	for _, w := range wanted {
		done[w.tag] = true
	}
	in := policy.Input{Complete: len(wanted) == 0, Now: now}
	for _, t := range f.listing.Tags {
		a := f.of(t)
		in.Tags = append(in.Tags, Tag{Name: t.Name, Digest: a.digest, Created: a.time, Platforms: a.image.Platforms}.rule())
	}
	var all []want
	for _, t := range n.pins {
		in.Current = t.Image
		for _, tag := range []string{currentTag(t.Image), t.Rules.Select(in).Selected} {
			known, there := listed[tag]
			d, failed := f.digests[tag], f.negatives[tag]
			if !there || known.Digest != "" || done[tag] || !d.At.Before(f.listing.At) || failed.Reason != "" && now.Before(failed.Until) {
				continue
			}
			done[tag] = true
			all = append(all, want{tag: tag, last: d.Digest, head: true})
		}
	}
	return all
}

// platformNames are platforms as people write them.
func platformNames(platforms []cache.Platform) []string {
	var names []string
	for _, p := range platforms {
		name := p.OS + "/" + p.Architecture
		if p.Variant != "" {
			name += "/" + p.Variant
		}
		names = append(names, name)
	}
	return names
}

// needsMore reports whether the rules of any of targets look at more than names.
func needsMore(targets []Target) bool {
	return slices.ContainsFunc(targets, func(t Target) bool {
		return t.Rules != nil && (t.Rules.NeedsTimes() || t.Rules.NeedsPlatforms() || t.Rules.NeedsDigest(t.Image))
	})
}

// needsTimes reports whether the rules of any of targets look at times.
func needsTimes(targets []Target) bool {
	return slices.ContainsFunc(targets, func(t Target) bool { return t.Rules != nil && t.Rules.NeedsTimes() })
}
