package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Candidate is a tag with the time of its image, zero if unknown.
type Candidate struct {
	Tag  string
	Time time.Time
}

// ranked is a candidate with what it is compared by.
type ranked struct {
	Candidate
	value value // nil: it has none, or it is not what counts
}

// ties says which of two tags that are equal is newer.
type ties string

const (
	byNames  ties = "names"
	byLength ties = "longest"
	byTime   ties = "newest"
	refused  ties = "refuse"
)

// order compares tags.
type order struct {
	timed  bool // by time, else by value
	down   bool // the lowest value is the newest
	single bool // one tag matches at most
	ties   ties
}

// set reads the options of a pattern, if there are any.
func (o *order) set(options string, any bool) error {
	if !any {
		return nil
	}
	for option := range strings.SplitSeq(options, ",") {
		rule, isTies := strings.CutPrefix(option, "ties=")
		known := slices.Contains([]ties{byNames, byLength, byTime, refused}, ties(rule))
		switch {
		case isTies && known:
			o.ties = ties(rule)
		case option == "asc" || option == "desc":
			if o.timed {
				return fmt.Errorf("option %s: a glob or regular expression orders by time, the newest first", option)
			}
			o.down = option == "desc"
		default:
			return fmt.Errorf("unknown option %s: there are asc, desc, ties=names, ties=longest, ties=newest and ties=refuse", quote(option))
		}
	}
	return nil
}

// needsTimes: of the one tag that a glob without an asterisk matches, nobody
// asks whether it is the newest.
func (o order) needsTimes() bool { return !o.single && (o.timed || o.ties == byTime) }

// compare is a total order, the newest first.
func (o order) compare(a, b ranked) int {
	return cmp.Or(o.newer(a, b), strings.Compare(a.Tag, b.Tag))
}

// newer compares without the names, which do not make a tag newer.
func (o order) newer(a, b ranked) int {
	if c := o.primary(a, b); c != 0 || !o.timed && (a.value == nil || b.value == nil) {
		return c
	}
	switch o.ties {
	case byTime:
		return compareTimes(a.Time, b.Time)
	case byLength:
		return cmp.Compare(len(b.Tag), len(a.Tag))
	}
	return 0
}

// undecided reports whether a and b are equal but for their times, of which not
// both are known: newer puts the known one first.
func (o order) undecided(a, b ranked) bool {
	return !o.timed && o.ties == byTime && (a.Time.IsZero() || b.Time.IsZero()) && o.primary(a, b) == 0
}

// primary compares by what the kind of the pattern orders by; what has none
// comes last.
func (o order) primary(a, b ranked) int {
	switch {
	case o.timed:
		return compareTimes(a.Time, b.Time)
	case a.value == nil && b.value == nil:
		return 0
	case a.value == nil:
		return 1
	case b.value == nil:
		return -1
	case o.down:
		return a.value.compare(b.value)
	}
	return b.value.compare(a.value)
}

// compareTimes puts the later time first and unknown ones last.
func compareTimes(a, b time.Time) int {
	switch {
	case a.IsZero() && b.IsZero():
		return 0
	case a.IsZero():
		return 1
	case b.IsZero():
		return -1
	default:
		return b.Compare(a)
	}
}

// Compare orders tags, the newest first: it is negative if a is newer than b,
// and 0 only if their names are equal, and their times where these count. What
// has neither value nor time comes last; names decide in the end, ascending.
func (p Policy) Compare(a, b Candidate) int {
	return p.total().compare(p.rank(a), p.rank(b))
}

// Sort sorts tags as Compare says, and reads each only once.
func (p Policy) Sort(tags []Candidate) {
	read := make([]ranked, len(tags))
	for i, c := range tags {
		read[i] = p.rank(c)
	}
	slices.SortFunc(read, p.total().compare)
	for i, r := range read {
		tags[i] = r.Candidate
	}
}

// rank reads the value of a tag, whether it is taken or not.
func (p Policy) rank(c Candidate) ranked {
	v, _ := p.read(c.Tag)
	return ranked{Candidate: c, value: v}
}

// total is the order of p; that of the zero Policy is by time.
func (p Policy) total() order {
	if p.rule == nil {
		return order{timed: true}
	}
	return p.order
}
