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
	part, found := r.from.find(tag)
	if !found {
		return nil, false
	}
	v, err := semver.StrictNewVersion(part) // several times as fast, and most are
	if err != nil {
		v, err = semver.NewVersion(part)
	}
	if err != nil {
		return nil, false
	}
	return version{v}, r.constraints.Check(v)
}

func (r semverRule) explain(tag string, v value, ok bool) string {
	part, found := r.from.find(tag)
	switch {
	case !found:
		return "does not match " + r.from.re.String()
	case v == nil:
		return part + " is no version"
	case ok:
		return part + " is in semver:" + r.text
	case r.takesRelease(v.(version)):
		return fmt.Sprintf("%s is a pre-release, which semver:%s does not take", part, r.text)
	}
	return part + " is not in semver:" + r.text
}

// takesRelease reports whether only that v is a pre-release keeps it out: a
// constraint takes pre-releases if it names one.
func (r semverRule) takesRelease(v version) bool {
	if v.Prerelease() == "" {
		return false
	}
	release, err := v.SetPrerelease("")
	return err == nil && r.constraints.Check(&release)
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
