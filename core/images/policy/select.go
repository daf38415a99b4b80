package policy

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Select says which tag to move to, and of each tag the rule that took or
// refused it. The outcome does not depend on the order of in.Tags.
//
// The candidate is the newest tag that the rules take. A tag that the registry
// is suspected to have lost cannot be taken, but nothing older is while it is
// the newest. What runs is replaced if the candidate is newer, by the order of
// the policy, not only by its name. If what runs does not match the policy, it
// is enough that the candidate is not older. If its place in the order is not
// known:
//
//   - by value, as it has none: the candidate is taken, such as 1.0 for master;
//   - by time, as the registry has the image no more and did not lose it lately,
//     or as it does not match: the candidate is taken, unless its name looks
//     older, as build-8 does beside a build-9 that is gone. Flux v1 stayed for
//     ever;
//   - otherwise Error says so.
//
// Where the reference is pinned and the tag that runs is the candidate, it is
// selected again when it names another image by now.
func (r Rules) Select(in Input) Selection {
	d := r.judge(in)
	var o outcome
	switch {
	case r.Err != nil:
		o.err = r.Err.Error()
	case r.Policy.rule == nil:
		o.reason = "there is no policy"
	case !in.Complete:
		o.err = cmp.Or(in.Incomplete, "not all that counts is known of the tags yet")
	default:
		o = d.choose()
	}
	s := Selection{Error: o.err, Reason: cmp.Or(o.reason, o.err), Tags: d.verdicts(o), NotBefore: d.notBefore(o), Quarantined: d.barred(o)}
	if o.taken != nil {
		s.Selected, s.Digest = o.taken.name(), o.taken.Digest
		s.NeedsDigest = r.NeedsDigest(in.Current) && s.Digest == ""
	}
	return s
}

// decision is what Select works on.
type decision struct {
	Rules
	in   Input
	tags []judged // the newest first
	runs standing
}

// outcome is what Select decided.
type outcome struct {
	best   *judged // the newest that the rules take
	taken  *judged // what to move to; nil: stay
	reason string
	err    string
}

// choose finds the candidate and decides whether to move to it.
func (d *decision) choose() outcome {
	i := slices.IndexFunc(d.tags, func(t judged) bool { return t.refused == "" || t.lost })
	if i < 0 {
		return d.nothing()
	}
	o := outcome{best: &d.tags[i]}
	if twin := d.twin(i); twin != "" {
		o.err = fmt.Sprintf("%s and %s are equally new, and ties=refuse takes neither", o.best.name(), twin)
		return o
	}
	if d.runs.tag == o.best.name() {
		return d.again(o)
	}
	return d.compare(o)
}

// nothing tells that the rules take no tag.
func (d *decision) nothing() outcome {
	untimed := 0
	for _, t := range d.tags {
		if t.untimed {
			untimed++
		}
	}
	switch {
	case len(d.tags) == 0:
		return outcome{reason: "the registry has no tags"}
	case untimed > 0:
		return outcome{err: fmt.Sprintf("no time is known of any image that matches (%d do), so the newest cannot be told: "+
			"a policy by number or version needs none", untimed)}
	}
	return outcome{reason: "the rules take none of the tags"}
}

// twin returns the tag that is as new as the i-th if the policy refuses both.
func (d *decision) twin(i int) string {
	order := d.Policy.total()
	if order.ties != refused {
		return ""
	}
	for _, t := range d.tags[i+1:] {
		if t.refused != "" || order.newer(d.tags[i].ranked, t.ranked) != 0 {
			continue
		}
		if t.Digest == "" || t.Digest != d.tags[i].Digest {
			return t.name()
		}
	}
	return ""
}

// compare decides whether to move from what runs to another tag.
func (d *decision) compare(o outcome) outcome {
	best, runs := o.best.name(), d.runs
	relation, why := d.relate(o.best)
	switch {
	case relation == ahead:
		o.taken, o.reason = o.best, why
	case relation == level:
		o.reason = why
		if own := d.find(runs.tag); own != nil && own.refused == "" {
			return d.again(outcome{best: own})
		}
	case d.Downgrade && d.waits():
		o.reason = fmt.Sprintf("%s, which runs, is only too young: that is no reason to go back to %s", runs.tag, best)
	case d.Downgrade:
		o.taken, o.reason = o.best, why+"; moves backwards are allowed"
	case relation == behind:
		o.reason = why + ", and moves backwards are not allowed"
	default:
		o.err = why + ", and moves backwards are not allowed"
	}
	if o.taken != nil && o.taken.lost {
		o.taken, o.err = nil, fmt.Sprintf("the latest listing lacked %s, the newest tag: nothing moves until that is certain", best)
	}
	return o
}

// waits reports whether the tag that runs would be taken if it were older.
func (d *decision) waits() bool {
	own := d.find(d.runs.tag)
	return own != nil && own.young
}

// find returns the tag of the registry with the name.
func (d *decision) find(tag string) *judged {
	for i := range d.tags {
		if d.tags[i].name() == tag {
			return &d.tags[i]
		}
	}
	return nil
}

// again decides what becomes of the digest if the tag that runs is the best.
func (d *decision) again(o outcome) outcome {
	own, current := o.best, d.in.Current
	o.reason = d.stays(own)
	pinned := d.NeedsDigest(current)
	moved := current.Digest != "" && own.Digest != "" && own.Digest != current.Digest
	switch {
	case own.lost:
	case pinned && current.Digest == "":
		o.taken, o.reason = own, own.name()+" runs, and is to be pinned to its digest"
	case !pinned && current.Digest != "":
		o.taken, o.reason = own, own.name()+" runs, and is not to be pinned to a digest"
	case pinned && moved && d.Policy.order.timed && !d.Downgrade && own.Created.Before(d.runs.Time) && !own.Created.IsZero():
		o.reason = own.name() + " names an older image than the one that runs by now, and moves backwards are not allowed"
	case pinned && moved:
		o.taken, o.reason = own, own.name()+" names another image by now"
	}
	return o
}

// stays is the outcome where the best tag runs already.
func (d *decision) stays(own *judged) string { return own.name() + " runs, and nothing newer is taken" }

// barred returns the tags that would be moved to if they were not in quarantine,
// the best first.
func (d *decision) barred(o outcome) []string {
	var names []string
	for i := range d.tags {
		t := &d.tags[i]
		if o.best == t {
			break
		}
		if !t.barred || d.runs.tag == t.name() {
			continue
		}
		if relation, _ := d.relate(t); relation == ahead || d.Downgrade {
			names = append(names, t.name())
		}
	}
	return names
}

// notBefore returns when the first tag that would be better is old enough.
func (d *decision) notBefore(o outcome) time.Time {
	var first time.Time
	for i := range d.tags {
		t := &d.tags[i]
		if o.best == t {
			break
		}
		due := t.Created.Add(d.MinAge)
		if !t.young || t.Created.IsZero() || !first.IsZero() && !due.Before(first) {
			continue
		}
		if relation, _ := d.relate(t); relation == ahead || d.Downgrade || d.runs.tag == t.name() {
			first = due
		}
	}
	return first
}
