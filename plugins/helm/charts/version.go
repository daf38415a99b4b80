package charts

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/sluice-gitops/sluice/sdk"
)

// pick returns the index of the version that is meant by want: the one of that
// name, or the newest in the range; a prerelease only if the range has one.
func pick(versions []string, want string) (int, error) {
	if i := slices.Index(versions, want); i >= 0 && want != "" {
		return i, nil
	}
	constraint, err := semver.NewConstraint(cmp.Or(want, "*"))
	if err != nil {
		return 0, sdk.Permanent(fmt.Errorf("%q is neither a version nor a range of versions", want))
	}
	best := -1
	var newest *semver.Version
	for i, text := range versions {
		v, err := semver.NewVersion(text)
		if err != nil || !constraint.Check(v) {
			continue
		}
		if newest == nil || v.GreaterThan(newest) {
			best, newest = i, v
		}
	}
	if best < 0 {
		return 0, fmt.Errorf("no version is %s: there are %s", cmp.Or(want, "a release"), some(versions))
	}
	return best, nil
}

// exact tells a version from a range.
func exact(want string) bool {
	_, err := semver.StrictNewVersion(strings.TrimPrefix(want, "v"))
	return err == nil
}

// some lists the first of many.
func some(list []string) string {
	const most = 5
	switch {
	case len(list) == 0:
		return "none"
	case len(list) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
	}
	return strings.Join(list, ", ")
}
