package images

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

const (
	// few is how many tags may vanish at once and be believed.
	few = 3
	// maxVanished bounds how many vanished tags are remembered.
	maxVanished = 100
	// forgetVanished is how long they are.
	forgetVanished = 30 * 24 * time.Hour
)

// delta is what a listing brought.
type delta struct {
	tags     []registry.Tag // that count now, by name
	suspects map[string]bool
	fresh    []string
	moved    []string
	gone     []registry.Tag // for certain, as they were
	bare     int            // tags that lost their digests for certain
}

// news reports whether anything differs that somebody may want to know.
func (d delta) news() bool {
	return len(d.fresh)+len(d.moved)+len(d.gone)+len(d.suspects)+d.bare > 0
}

// merge returns what counts after a complete listing got, when prev counted
// before, of which suspects were missing the last time. Only if digests is set
// does a tag that lost its digest count as missing.
//
// At most few missing tags are believed at once; of more, or of all there are,
// those that were missing the last time too. The others stay as they were, as
// suspects.
func merge(prev []registry.Tag, suspects map[string]bool, got map[string]registry.Tag, digests bool) delta {
	d := delta{suspects: map[string]bool{}}
	kept := d.lose(prev, suspects, got, digests)
	before := byName(prev)
	for name, t := range got {
		switch old, had := before[name]; {
		case !had:
			d.fresh = append(d.fresh, name)
		case t.Digest != "" && old.Digest != "" && t.Digest != old.Digest:
			d.moved = append(d.moved, name)
		}
		if _, ok := kept[name]; !ok {
			kept[name] = t
		}
	}
	d.tags = slices.SortedFunc(maps.Values(kept), func(a, b registry.Tag) int { return strings.Compare(a.Name, b.Name) })
	slices.Sort(d.fresh)
	slices.Sort(d.moved)
	return d
}

// lose files the tags of prev that got lacks, and returns those that stay as
// they were all the same.
func (d *delta) lose(prev []registry.Tag, suspects map[string]bool, got map[string]registry.Tag, digests bool) (kept map[string]registry.Tag) {
	lost := slices.DeleteFunc(slices.Clone(prev), func(t registry.Tag) bool {
		g, there := got[t.Name]
		return there && (!digests || t.Digest == "" || g.Digest != "")
	})
	doubt := len(lost) > few || len(got) == 0 && len(prev) > 0
	kept = map[string]registry.Tag{}
	for _, t := range lost {
		_, there := got[t.Name]
		switch {
		case doubt && !suspects[t.Name]:
			kept[t.Name] = t
			d.suspects[t.Name] = true
		case there:
			d.bare++
		default:
			d.gone = append(d.gone, t)
		}
	}
	return kept
}

// suspects are tags of a listing that the latest answer lacked.
type suspects struct {
	Since time.Time `json:"since"`
	Of    int       `json:"of"`   // tags in the listing
	Bits  []byte    `json:"bits"` // one for each of them
}

// suspectsOf returns those among tags that are in set, nil if there is none.
func suspectsOf(tags []registry.Tag, set map[string]bool, now time.Time) *suspects {
	if len(set) == 0 {
		return nil
	}
	s := &suspects{Since: now, Of: len(tags), Bits: make([]byte, (len(tags)+7)/8)}
	for i, t := range tags {
		if set[t.Name] {
			s.Bits[i/8] |= 1 << (i % 8)
		}
	}
	return s
}

// names returns the suspects among the tags of the listing. Of another listing,
// as after a crash between two writes, nothing is known.
func (s *suspects) names(tags []registry.Tag) map[string]bool {
	set := map[string]bool{}
	if s == nil || s.Of != len(tags) || len(s.Bits) != (len(tags)+7)/8 {
		return set
	}
	for i, t := range tags {
		if s.Bits[i/8]&(1<<(i%8)) != 0 {
			set[t.Name] = true
		}
	}
	return set
}

func byName(tags []registry.Tag) map[string]registry.Tag {
	m := make(map[string]registry.Tag, len(tags))
	for _, t := range tags {
		m[t.Name] = t
	}
	return m
}

// remember adds what is gone to the vanished tags, and takes out what came back
// or was long ago. Those that run are remembered first.
func remember(vanished, gone []Vanished, tags map[string]registry.Tag, running map[string]bool, now time.Time) []Vanished {
	all := slices.DeleteFunc(slices.Concat(gone, vanished), func(v Vanished) bool {
		_, back := tags[v.Name]
		return back || now.Sub(v.Since) > forgetVanished
	})
	slices.SortStableFunc(all, func(a, b Vanished) int {
		switch {
		case running[a.Name] == running[b.Name]:
			return b.Since.Compare(a.Since)
		case running[a.Name]:
			return -1
		default:
			return 1
		}
	})
	return all[:min(len(all), maxVanished)]
}
