package diag

import (
	"cmp"
	"slices"
	"strings"
)

// Nearest returns the element of known that name is most likely a slip of, or
// "" if none is near: for "did you mean". Names that differ in case alone are
// nearest; among equally near ones the first in alphabetical order wins.
func Nearest(name string, known []string) string {
	if near := Similar(name, known, 1); len(near) == 1 {
		return near[0]
	}
	return ""
}

// Similar returns up to most elements of known that name may be a slip of, the
// likeliest first: those with at most one wrong letter in three, and with two
// in a short name.
func Similar(name string, known []string, most int) []string {
	type candidate struct {
		name  string
		edits int
	}
	limit := max(2, len(name)/3+1)
	var near []candidate
	for _, k := range known {
		if k == name {
			continue
		}
		edits := distance([]rune(name), []rune(k), limit)
		if strings.EqualFold(k, name) {
			edits = 0
		}
		if edits < limit && edits < len(k) {
			near = append(near, candidate{k, edits})
		}
	}
	slices.SortFunc(near, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.edits, b.edits), strings.Compare(a.name, b.name))
	})
	names := make([]string, 0, most)
	near = slices.Compact(near)
	for _, c := range near[:min(most, len(near))] {
		names = append(names, c.name)
	}
	return names
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
