package resource

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"time"
)

const (
	maxNamespace = 63
	maxName      = 253 // of an object
)

var (
	label      = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	labelsDots = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
)

// badName says what is wrong with a name, or nothing.
func badName(name string, most int, dots bool) string {
	pattern := label
	if dots {
		pattern = labelsDots
	}
	switch {
	case len(name) > most:
		return "is too long"
	case !pattern.MatchString(name):
		return "has characters that cannot be in a name, or where they cannot be"
	}
	return ""
}

// seconds reads a number of seconds. Zero is taken for the default: an
// operation that may take no time at all would always fail.
func (f *fields) seconds(name string, fallback time.Duration) time.Duration {
	const most = math.MaxInt32
	n := f.number(name, int64(fallback/time.Second))
	switch {
	case n < 0 || n > most:
		f.problem(f.at(name), "not between 0 and %d seconds", most)
		return fallback
	case n == 0:
		f.warn(f.at(name), "Leave it out, or set the number of seconds.", "no time at all is not enough: %d seconds are allowed", int64(fallback/time.Second))
		return fallback
	}
	return time.Duration(n) * time.Second
}

// bounded reads a number of things.
func (f *fields) bounded(name string, fallback int64) int64 {
	n := f.number(name, fallback)
	if n < 0 || n > math.MaxInt32 {
		f.problem(f.at(name), "not between 0 and %d", math.MaxInt32)
		return fallback
	}
	return n
}

// What a status holds at most. It is for people, who find the rest with Sluice.
const (
	maxMessage = 1024 // bytes
	maxLines   = 20
)

// cut is text of at most most bytes.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	const mark = "..."
	return strings.ToValidUTF8(text[:most-len(mark)], "") + mark
}

// lines is a list of at most maxLines, none of them too long.
func lines(all []string) []string {
	more := len(all) - maxLines
	var out []string
	for _, text := range all[:min(len(all), maxLines)] {
		out = append(out, cut(text, maxMessage))
	}
	if more > 0 {
		out = append(out, fmt.Sprintf("and %d more", more))
	}
	return out
}
