package policy

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/images/glob"
)

// globRule is the text of a glob.
type globRule string

// parseGlob refuses what no tag can match: a pattern in another language, most
// likely.
func parseGlob(text string) (rule, error) {
	for _, c := range text {
		if c != '*' && !inTags(c) {
			return nil, fmt.Errorf("no tag has the character %q: in a glob only * is special", c)
		}
	}
	return globRule(text), nil
}

// inTags reports whether a tag may hold c.
func inTags(c rune) bool {
	return 'a' <= c && c <= 'z' || isCapital(c) || isDigit(c) || strings.ContainsRune("._-", c)
}

func isCapital(c rune) bool { return 'A' <= c && c <= 'Z' }
func isDigit(c rune) bool   { return '0' <= c && c <= '9' }

func (g globRule) read(tag string) (value, bool) { return nil, glob.Match(string(g), tag) }

func (g globRule) explain(_ string, _ value, ok bool) string { return matched(ok, "glob:"+string(g)) }

func matched(ok bool, pattern string) string {
	if ok {
		return "matches " + pattern
	}
	return "does not match " + pattern
}

type regexpRule struct{ re *regexp.Regexp }

func parseRegexp(text string) (rule, error) {
	re, err := compile(text)
	if err != nil {
		return nil, err
	}
	return regexpRule{re}, nil
}

func (r regexpRule) read(tag string) (value, bool) { return nil, r.re.MatchString(tag) }

func (r regexpRule) explain(_ string, _ value, ok bool) string {
	return matched(ok, "regexp:"+r.re.String())
}

// maxRegexp bounds a regular expression, in characters and classes once its
// repetitions are written out. Every tag of a repository is held against it, and
// anyone who may annotate a workload writes it: ".{0,1000}" a hundred times is a
// thousand characters, and takes seconds for each hundred tags.
const maxRegexp = 1000

func compile(text string) (*regexp.Regexp, error) {
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	if size(parsed) > maxRegexp {
		return nil, fmt.Errorf("its repetitions are more than %d characters long", maxRegexp)
	}
	return regexp.Compile(text)
}

// size is how long re is with its repetitions written out, but not far beyond
// maxRegexp.
func size(re *syntax.Regexp) int {
	n := 1
	if re.Op == syntax.OpLiteral {
		n = len(re.Rune)
	}
	for _, sub := range re.Sub {
		n += size(sub)
	}
	if re.Op == syntax.OpRepeat {
		n *= max(re.Min, re.Max, 1)
	}
	return min(n, 2*maxRegexp)
}

// extraction finds the part of a tag that counts. The zero extraction finds all
// of it.
type extraction struct {
	re    *regexp.Regexp
	group int
}

func parseExtraction(text string) (extraction, error) {
	re, err := compile(text)
	if err != nil {
		return extraction{}, err
	}
	names := re.SubexpNames()
	named := slices.Index(names, "n")
	switch {
	case named > 0 && slices.Contains(names[named+1:], "n"):
		return extraction{}, fmt.Errorf("two groups have the name n")
	case named > 0:
		return extraction{re, named}, nil
	case re.NumSubexp() > 1:
		return extraction{}, fmt.Errorf("it has %d groups: name the one that counts n, (?P<n>...), or make the others (?:...)", re.NumSubexp())
	}
	return extraction{re, re.NumSubexp()}, nil
}

// find returns the part of tag that counts, if there is one.
func (e extraction) find(tag string) (part string, ok bool) {
	if e.re == nil {
		return tag, true
	}
	at := e.re.FindStringSubmatchIndex(tag)
	if at == nil || at[2*e.group] < 0 {
		return "", false
	}
	return tag[at[2*e.group]:at[2*e.group+1]], true
}
