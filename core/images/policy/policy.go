// Package policy says which tags of an image may be taken and which of them is
// the newest. It does no I/O.
//
// # Patterns
//
// A pattern is KIND[,OPTION...]:TEXT. The first three kinds are those of Flux
// v1, with its rules:
//
//	glob:PATTERN, or PATTERN alone   only * is special and stands for any run; all of the tag
//	semver:CONSTRAINT                of github.com/Masterminds/semver; what is no version never matches
//	semver:CONSTRAINT from RE        the version is a part of the tag
//	regexp:RE, regex:RE              RE2, anywhere in the tag unless anchored
//	numeric:RE                       RE2; a part of the tag is a number
//	calver:FORMAT                    the tag has a date, see https://calver.org
//
// The part of the tag that an RE of semver or numeric finds is its group named
// n, else its only group, else all that it matches:
//
//	numeric:^main-[0-9a-f]+-(?P<n>[0-9]+)$
//	semver:~1.27 from ^(.+)-alpine$
//
// A number is 12 or 12.5, of any length and without a sign. As 1.10 is the same
// number as 1.1, numbers with two parts that count on their own are versions.
//
// In a FORMAT these words, which calver.org has, stand for numbers, and all else
// for itself; capital letters that are no word stand in single quotes:
//
//	YYYY 2026   0Y 06, 26, 106   YY 6, 26, 106   years; the short ones count from 2000
//	MM 1..12    0M 01..12        WW, 0W  0..53   DD 1..31, 0D 01..31
//	MAJOR MINOR MICRO            numbers of any length
//	MODIFIER                     text that begins with a letter: without one a tag is newer, as 24.4 is after 24.4-rc1
//	[...]                        need not be there: without it a tag is older, as 24.04 is before 24.04.1
//	*                            any run, that neither cuts a number in two nor joins two
//
//	calver:YYYY.0M.0D[-MICRO]    calver:'RELEASE'.YYYY-0M-0D'T'*    calver:nightly-YYYY0M0D-*
//
// Parts count from left to right; those of the date count as year, month or
// week, day, in the place of the first of them.
//
// # Order
//
// Globs and regular expressions order tags by the time of the image, the newest
// first. The other kinds order by what they read: the highest is the newest, or
// with the option desc the lowest (asc is the default).
//
// Tags may be equal: 1.10 and 1.10.0, or two builds with one number. An option
// says which is newer then:
//
//	ties=names     none; the first name by the alphabet is shown first (default)
//	ties=longest   the longer name (default of semver, as in Flux v1)
//	ties=newest    the one whose image is newer, which takes the times of images
//	ties=refuse    neither: while several are the newest, none is taken
//
// The tag "latest" in any case is taken only by the pattern that names it,
// "latest" or "glob:latest".
//
// Other than in Flux v1, a pattern that is not valid is an error and matches
// nothing; there it matched everything, so that a typing error released
// anything. An empty pattern is not valid for the same reason.
//
// # Rules
//
// Rules are a policy with all else that decides, such as the age and the
// platforms that an image must have. Select applies them; it never moves
// backwards unless Rules.Downgrade allows it, see there.
package policy

import (
	"errors"
	"fmt"
	"strings"
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
	order   order
}

// rule is what a kind of pattern decides.
type rule interface {
	// read returns what the tag is compared by, nil if there is none, and
	// whether the rule takes it. A tag that it does not take may have a value
	// all the same.
	read(tag string) (v value, ok bool)
	// explain says what took or refused the tag, of which read returned v and
	// ok.
	explain(tag string, v value, ok bool) string
}

// value is what tags are compared by; those of one rule are of one type.
type value interface {
	compare(value) int // ascending
}

// kind is a way to write a rule.
type kind struct {
	name  string
	parse func(text string) (rule, error)
	order order // by default
}

// kinds are in the order in which an error names them.
func kinds() []kind {
	return []kind{
		{"glob", parseGlob, order{timed: true, ties: byNames}},
		{"semver", parseSemver, order{ties: byLength}},
		{"regexp", parseRegexp, order{timed: true, ties: byNames}},
		{"regex", parseRegexp, order{timed: true, ties: byNames}},
		{"numeric", parseNumeric, order{ties: byNames}},
		{"calver", parseCalver, order{ties: byNames}},
	}
}

// Parse reads a pattern. With an error, which says what is wrong with it, the
// Policy is the zero one.
func Parse(pattern string) (Policy, error) {
	p, err := parse(pattern)
	if err != nil {
		return Policy{}, fmt.Errorf("pattern %s: %w", quote(pattern), err)
	}
	p.pattern = pattern
	return p, nil
}

func parse(pattern string) (Policy, error) {
	if len(pattern) > maxPattern {
		return Policy{}, fmt.Errorf("longer than %d bytes", maxPattern)
	}
	// A tag has no colon, so a pattern with one names its kind.
	head, text, ok := strings.Cut(pattern, ":")
	if !ok {
		head, text = "glob", pattern
	}
	name, options, _ := strings.Cut(head, ",")
	k, err := kindOf(name)
	if err != nil {
		return Policy{}, err
	}
	if text == "" {
		return Policy{}, errors.New("empty: write " + Default + " to take every tag")
	}
	p := Policy{order: k.order}
	if p.rule, err = k.parse(text); err != nil {
		return Policy{}, err
	}
	if g, ok := p.rule.(globRule); ok && !strings.Contains(string(g), "*") {
		p.order.single = true
	}
	return p, p.order.set(options, strings.Contains(head, ","))
}

func kindOf(name string) (kind, error) {
	var known []string
	for _, k := range kinds() {
		if k.name == name {
			return k, nil
		}
		known = append(known, k.name+":")
	}
	return kind{}, fmt.Errorf("unknown kind %s: there are %s, and a glob needs none", quote(name+":"), strings.Join(known, ", "))
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
	_, ok := p.read(tag)
	return ok
}

func (p Policy) read(tag string) (value, bool) {
	if p.rule == nil {
		return nil, false
	}
	v, ok := p.rule.read(tag)
	return v, ok && !p.passes(tag)
}

// passes reports whether tag is the one that is taken only by its name.
func (p Policy) passes(tag string) bool {
	return strings.EqualFold(tag, latest) && (p.rule != globRule(latest) || tag != latest)
}

// Explain says in plain words what took or refused the tag.
func (p Policy) Explain(tag string) string {
	v, ok := p.read(tag)
	return p.explain(tag, v, ok)
}

func (p Policy) explain(tag string, v value, ok bool) string {
	switch {
	case p.rule == nil:
		return "there is no pattern that takes it"
	case p.passes(tag):
		return "a tag that moves is no release: only the pattern glob:latest takes latest"
	}
	return p.rule.explain(tag, v, ok)
}

// NeedsTimes reports whether it takes the times of images to tell which tag is
// the newest. For other policies a list of names is enough.
func (p Policy) NeedsTimes() bool { return p.rule != nil && p.order.needsTimes() }
