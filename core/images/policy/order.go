package policy

import (
	"cmp"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
)

// ranked is a candidate with what it is compared by.
type ranked struct {
	Candidate
	version *semver.Version // nil: it is none, or versions do not count
}

// order compares tags by something of them.
type order struct {
	read    func(Candidate) ranked
	compare func(a, b ranked) int
}

var (
	byTime = order{
		read:    func(c Candidate) ranked { return ranked{Candidate: c} },
		compare: func(a, b ranked) int { return cmp.Or(compareTimes(a.Time, b.Time), strings.Compare(a.Tag, b.Tag)) },
	}
	byVersion = order{read: readVersion, compare: compareVersions}
)

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

func readVersion(c Candidate) ranked {
	v, err := semver.NewVersion(c.Tag)
	if err != nil {
		return ranked{Candidate: c}
	}
	return ranked{Candidate: c, version: v}
}

func compareVersions(a, b ranked) int {
	switch {
	case a.version == nil && b.version == nil:
		return strings.Compare(a.Tag, b.Tag)
	case a.version == nil:
		return 1
	case b.version == nil:
		return -1
	}
	return cmp.Or(b.version.Compare(a.version), cmp.Compare(len(b.Tag), len(a.Tag)), strings.Compare(a.Tag, b.Tag))
}
