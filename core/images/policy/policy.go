// Package policy says which tags of an image may be taken and which of them is
// the newest, from the patterns and annotations that Flux v1 has.
//
// A pattern is one of
//
//	glob:PATTERN, or PATTERN alone   only * is special and stands for any run; all of the tag
//	semver:CONSTRAINT                of github.com/Masterminds/semver; what is no version never matches
//	regexp:RE, regex:RE              RE2, anywhere in the tag unless anchored
//
// Globs and regular expressions order tags by the time of the image, semver by
// version. The tag "latest" in any case is taken only by the pattern that
// names it, "latest" or "glob:latest".
//
// Other than in Flux v1, a pattern that is not valid is an error and matches
// nothing; there it matched everything, so that a typing error released
// anything. An empty pattern is not valid for the same reason.
package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Default is the pattern of what is automated without naming one.
const Default = "glob:*"

// maxPattern bounds the length of a pattern, in bytes.
const maxPattern = 1024

// latest is the tag that is a moving name rather than a release.
const latest = "latest"

// Policy is a parsed pattern. The zero Policy matches nothing. It is safe for
// concurrent use.
type Policy struct {
	pattern string
	rule    rule
}

// rule is what a kind of pattern decides.
type rule interface {
	matches(tag string) bool
	// order returns what compares tags, the newest first.
	order() order
	// needsTimes reports whether order looks at the times of images.
	needsTimes() bool
}

// kind is a way to write a rule, after its name and a colon.
type kind struct {
	name  string
	parse func(text string) (rule, error)
}

// kinds are in the order in which an error names them.
func kinds() []kind {
	return []kind{{"glob", parseGlob}, {"semver", parseSemver}, {"regexp", parseRegexp}, {"regex", parseRegexp}}
}

// Parse reads a pattern. With an error, which says what is wrong with it, the
// Policy is the zero one.
func Parse(pattern string) (Policy, error) {
	r, err := parse(pattern)
	if err != nil {
		return Policy{}, fmt.Errorf("pattern %s: %w", quote(pattern), err)
	}
	return Policy{pattern: pattern, rule: r}, nil
}

func parse(pattern string) (rule, error) {
	if len(pattern) > maxPattern {
		return nil, fmt.Errorf("longer than %d bytes", maxPattern)
	}
	// A tag has no colon, so a pattern with one names its kind.
	name, text, ok := strings.Cut(pattern, ":")
	if !ok {
		name, text = "glob", pattern
	}
	if text == "" {
		return nil, errors.New("empty: write " + Default + " to take every tag")
	}
	var known []string
	for _, k := range kinds() {
		if k.name == name {
			return k.parse(text)
		}
		known = append(known, k.name+":")
	}
	return nil, fmt.Errorf("unknown kind %s: there are %s, and a glob needs none", quote(name+":"), strings.Join(known, ", "))
}

// quote quotes what a stranger may have written.
func quote(s string) string {
	const most = 100
	if len(s) > most {
		return fmt.Sprintf("%q...", strings.ToValidUTF8(s[:most], ""))
	}
	return fmt.Sprintf("%q", s)
}

// String returns the pattern as it was written.
func (p Policy) String() string { return p.pattern }

// Matches reports whether the tag may be taken.
func (p Policy) Matches(tag string) bool {
	switch {
	case p.rule == nil:
		return false
	case strings.EqualFold(tag, latest):
		return p.rule == globRule(latest) && tag == latest
	default:
		return p.rule.matches(tag)
	}
}

// NeedsTimes reports whether it takes the times of images to tell which tag is
// the newest. For other policies a list of names is enough.
func (p Policy) NeedsTimes() bool { return p.rule != nil && p.rule.needsTimes() }

// Candidate is a tag with the time of its image, zero if unknown.
type Candidate struct {
	Tag  string
	Time time.Time
}

// Compare orders tags, the newest first: it is negative if a is newer than b,
// and 0 only if their names are equal, and their times where these count.
//
// By version: a higher version is newer; of equal ones, such as 1.10 and
// 1.10.0, the longer tag; what is no version comes last. By time: a later time
// is newer; unknown times come last. Otherwise names decide, ascending.
func (p Policy) Compare(a, b Candidate) int {
	o := p.order()
	return o.compare(o.read(a), o.read(b))
}

// Sort sorts tags as Compare says, and reads each version only once.
func (p Policy) Sort(tags []Candidate) {
	o := p.order()
	read := make([]ranked, len(tags))
	for i, c := range tags {
		read[i] = o.read(c)
	}
	slices.SortFunc(read, o.compare)
	for i, r := range read {
		tags[i] = r.Candidate
	}
}

func (p Policy) order() order {
	if p.rule == nil {
		return byTime
	}
	return p.rule.order()
}
