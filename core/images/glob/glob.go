// Package glob matches names of images, tags and hosts against the simplest
// kind of pattern, the one that Flux v1 has: an asterisk stands for any run of
// characters, also an empty one and also one with slashes and dots; everything
// else stands for itself, and the whole name has to match.
package glob

import "strings"

// Match reports whether pattern matches all of s. It takes time proportional
// to len(pattern) * len(s) at worst.
func Match(pattern, s string) bool {
	first, rest, found := strings.Cut(pattern, "*")
	if !found {
		return pattern == s
	}
	s, found = strings.CutPrefix(s, first)
	if !found {
		return false
	}
	// Between two asterisks the leftmost place is as good as any later one.
	for {
		part, more, found := strings.Cut(rest, "*")
		if !found {
			return strings.HasSuffix(s, part)
		}
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s, rest = s[i+len(part):], more
	}
}
