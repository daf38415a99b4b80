package policy

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/Masterminds/semver/v3"
)

type semverRule struct {
	text        string
	constraints *semver.Constraints
	from        extraction
}

// parseSemver reads CONSTRAINT or CONSTRAINT from RE; no constraint has that
// word.
func parseSemver(text string) (rule, error) {
	constraint, from, extracts := strings.Cut(text, " from ")
	r := semverRule{text: constraint}
	var err error
	if r.constraints, err = semver.NewConstraint(constraint); err != nil {
		return nil, err
	}
	if !extracts {
		return r, nil
	}
	if from == "" {
		return nil, errors.New(`after "from" there is no regular expression`)
	}
	if r.from, err = parseExtraction(from); err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	return r, nil
}

func (r semverRule) read(tag string) (value, bool) {
	v, _, ok := r.version(tag)
	if !ok {
		return nil, false
	}
	return version{v}, r.constraints.Check(v)
}

// version returns the version in tag, and what was found that should be one.
func (r semverRule) version(tag string) (v *semver.Version, part string, ok bool) {
	part, found := r.from.find(tag)
	if !found {
		return nil, "", false
	}
	v, err := semver.NewVersion(part)
	return v, part, err == nil
}

func (r semverRule) explain(tag string) string {
	v, part, ok := r.version(tag)
	switch {
	case !ok && part == "" && r.from.re != nil:
		return "does not match " + r.from.re.String()
	case !ok:
		return part + " is no version"
	}
	if r.constraints.Check(v) {
		return fmt.Sprintf("%s is in semver:%s", part, r.text)
	}
	if v.Prerelease() != "" {
		// A constraint that takes pre-releases says so by naming one.
		release, err := v.SetPrerelease("")
		if err == nil && r.constraints.Check(&release) {
			return fmt.Sprintf("%s is a pre-release, which semver:%s does not take", part, r.text)
		}
	}
	return fmt.Sprintf("%s is not in semver:%s", part, r.text)
}

// version is a value. It differs from that of the library in pre-releases with
// numbers of more than 64 bits, such as times.
type version struct{ *semver.Version }

func (a version) compare(other value) int {
	b := other.(version)
	return cmp.Or(
		cmp.Compare(a.Major(), b.Major()), cmp.Compare(a.Minor(), b.Minor()), cmp.Compare(a.Patch(), b.Patch()),
		comparePrereleases(a.Prerelease(), b.Prerelease()),
	)
}

// comparePrereleases compares as the specification says: without one is higher.
func comparePrereleases(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == "":
		return 1
	case b == "":
		return -1
	}
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(x), len(y)) {
		if c := compareIdentifiers(x[i], y[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(x), len(y))
}

// compareIdentifiers puts numbers before texts.
func compareIdentifiers(a, b string) int {
	x, xok := parseNumber(a)
	y, yok := parseNumber(b)
	switch {
	case xok && yok:
		return x.compare(y)
	case xok:
		return -1
	case yok:
		return 1
	}
	return strings.Compare(a, b)
}
