package policy

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/Masterminds/semver/v3"

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
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("._-", c)
}

func (g globRule) matches(tag string) bool { return glob.Match(string(g), tag) }
func (globRule) order() order              { return byTime }

// needsTimes: of the one tag that a glob without an asterisk matches, nobody
// asks whether it is the newest.
func (g globRule) needsTimes() bool { return strings.Contains(string(g), "*") }

type semverRule struct{ constraints *semver.Constraints }

func parseSemver(text string) (rule, error) {
	c, err := semver.NewConstraint(text)
	if err != nil {
		return nil, err
	}
	return semverRule{c}, nil
}

func (r semverRule) matches(tag string) bool {
	v, err := semver.NewVersion(tag)
	return err == nil && r.constraints.Check(v)
}

func (semverRule) order() order     { return byVersion }
func (semverRule) needsTimes() bool { return false }

type regexpRule struct{ re *regexp.Regexp }

// maxRegexp bounds a regular expression, in characters and classes once its
// repetitions are written out. Every tag of a repository is held against it, and
// anyone who may annotate a workload writes it: ".{0,1000}" a hundred times is a
// thousand characters, and takes seconds for each hundred tags.
const maxRegexp = 1000

func parseRegexp(text string) (rule, error) {
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	if size(parsed) > maxRegexp {
		return nil, fmt.Errorf("its repetitions are more than %d characters long", maxRegexp)
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	return regexpRule{re}, nil
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

func (r regexpRule) matches(tag string) bool { return r.re.MatchString(tag) }
func (regexpRule) order() order              { return byTime }
func (regexpRule) needsTimes() bool          { return true }
