package policy

import (
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/core/images/natural"
)

// standing is where the image that runs stands in the order.
type standing struct {
	ranked
	tag      string // "" if it is not known, or nothing runs
	nothing  bool   // nothing runs
	listed   bool   // the registry has it
	vanished bool   // the registry had it until lately
	matches  bool   // the policy takes the tag
}

// standing finds what runs.
func (d *decision) standing() standing {
	current := d.in.Current
	if current.Name() == "" {
		return standing{nothing: true}
	}
	s := standing{tag: tagOf(current)}
	if s.tag == "" {
		s.tag = d.named(current.Digest)
	}
	own := d.find(s.tag)
	var t Tag
	if own != nil {
		s.listed, t = true, own.Tag
	} else if i := slices.IndexFunc(d.in.Vanished, func(v Tag) bool { return s.tag != "" && v.Tag == s.tag }); i >= 0 {
		s.vanished, t = true, d.in.Vanished[i]
	}
	s.ranked = d.Policy.rank(Candidate{Tag: s.tag, Time: d.madeAt(t)})
	s.matches = d.Policy.Matches(s.tag)
	return s
}

// named returns the newest tag that names the digest, "" if none is known to.
func (d *decision) named(digest string) string {
	for _, t := range d.tags {
		if t.Digest == digest {
			return t.name()
		}
	}
	for _, t := range d.in.Vanished {
		if t.Digest == digest {
			return t.Tag
		}
	}
	return ""
}

// madeAt returns when the image that runs was made; t is what is known by its tag,
// which may have moved since it was pinned.
func (d *decision) madeAt(t Tag) time.Time {
	pinned, byDigest := d.in.Current.Digest, plausible(d.in.Running.Created)
	if pinned != "" && (!byDigest.IsZero() || t.Digest != "" && t.Digest != pinned) {
		return byDigest
	}
	return plausible(t.Created)
}

// relation is how a tag stands to the one that runs.
type relation int

const (
	unknown relation = iota
	ahead
	level // neither newer nor older, and no reason to move
	behind
)

// relate says how t stands to what runs, and why in plain words.
func (d *decision) relate(t *judged) (relation, string) {
	runs, order, tag := d.runs, d.Policy.total(), t.name()
	if runs.nothing {
		return ahead, "nothing newer is taken"
	}
	if runs.tag == "" {
		return unknown, fmt.Sprintf("what runs is named by its digest alone, and no tag is known to name it: whether %s is newer cannot be told", tag)
	}
	if order.timed && !order.single && runs.Time.IsZero() {
		return d.relateTimeless(t)
	}
	if !order.timed && runs.value == nil {
		return ahead, fmt.Sprintf("%s, which runs, has no place in the order of the policy", runs.tag)
	}
	if order.single {
		return ahead, "the pattern names this tag alone"
	}
	switch c := order.newer(t.ranked, runs.ranked); {
	case order.undecided(t.ranked, runs.ranked):
	case c < 0:
		return ahead, fmt.Sprintf("it is newer than %s, which runs", runs.tag)
	case c > 0:
		return behind, fmt.Sprintf("%s is older than %s, which runs", tag, runs.tag)
	case !runs.matches:
		return ahead, fmt.Sprintf("it is as new as %s, which runs and does not match", runs.tag)
	}
	return level, fmt.Sprintf("%s is not newer than %s, which runs, but as new", tag, runs.tag)
}

// relateTimeless is relate by time where that of the image that runs is not
// known.
func (d *decision) relateTimeless(t *judged) (relation, string) {
	runs, tag := d.runs, t.name()
	lost := slices.ContainsFunc(d.in.Tags, func(t Tag) bool { return t.Suspect })
	switch {
	case !runs.listed && looksOlder(tag, runs.tag):
		return unknown, fmt.Sprintf("the registry does not have %s, which runs, its time is not known, and %s looks older by its name", runs.tag, tag)
	case !runs.matches:
		return ahead, fmt.Sprintf("%s, which runs, does not match, and its time is not known", runs.tag)
	case !runs.listed && !runs.vanished && !lost:
		return ahead, fmt.Sprintf("the registry does not have %s, which runs", runs.tag)
	case !runs.listed:
		return unknown, fmt.Sprintf("the registry has lost %s, which runs, and its time is not known: whether %s is newer cannot be told", runs.tag, tag)
	}
	return unknown, fmt.Sprintf("the time of %s, which runs, is not known: whether %s is newer cannot be told", runs.tag, tag)
}

// looksOlder reports whether a has the name of b but for numbers, and these are
// lower.
func looksOlder(a, b string) bool {
	return digits.ReplaceAllString(a, "0") == digits.ReplaceAllString(b, "0") && natural.Compare(a, b) < 0
}

var digits = regexp.MustCompile(`[0-9]+`)
