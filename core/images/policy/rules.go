package policy

import (
	"fmt"
	"regexp"
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

func parseRegexp(text string) (rule, error) {
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	return regexpRule{re}, nil
}

func (r regexpRule) matches(tag string) bool { return r.re.MatchString(tag) }
func (regexpRule) order() order              { return byTime }
func (regexpRule) needsTimes() bool          { return true }
