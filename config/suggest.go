package config

import (
	"fmt"
	"slices"
	"strings"
)

// maxListed is how many known names a message lists when none is similar.
const maxListed = 12

// didYouMean returns a sentence, with a space before it, that proposes one of
// known for name: the most similar, or else all of them if they are few.
func didYouMean(name string, known []string) string {
	if best := nearest(name, known); best != "" {
		return fmt.Sprintf(" Did you mean %q?", best)
	}
	if len(known) == 0 || len(known) > maxListed {
		return ""
	}
	known = slices.Sorted(slices.Values(known))
	return fmt.Sprintf(" Known: %s.", strings.Join(slices.Compact(known), ", "))
}

// nearest returns the element of known that name is most likely a slip of, or
// "". Among equally near ones the first in alphabetical order wins.
func nearest(name string, known []string) string {
	best, bestDistance := "", max(2, len(name)/3+1)
	for _, k := range slices.Sorted(slices.Values(known)) {
		if k == name {
			continue
		}
		if strings.EqualFold(k, name) {
			return k
		}
		if d := distance([]rune(name), []rune(k), bestDistance); d < bestDistance && d < len(k) {
			best, bestDistance = k, d
		}
	}
	return best
}

// distance counts the edits between a and b: insertions, deletions,
// replacements and swaps of neighbours. It gives up at limit.
func distance(a, b []rune, limit int) int {
	if d := len(a) - len(b); d >= limit || -d >= limit {
		return limit
	}
	// Three rows of the table are enough: a swap looks two rows back.
	before, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return min(prev[len(b)], limit)
}
