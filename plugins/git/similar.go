package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/plugins/git/internal/remote"
)

// didYouMean names refs of the repository that missing may have been meant to
// be: the same name of another sort, or a few similar ones of the same sort.
func didYouMean(missing string, l remote.Listing) string {
	for _, prefix := range []string{"refs/heads/", "refs/tags/"} {
		other := prefix + shortRef(missing)
		if _, ok := l.Refs[other]; ok {
			return "there is a " + remote.DescribeRef(other)
		}
	}
	prefix := "refs/heads/"
	if strings.HasPrefix(missing, "refs/tags/") {
		prefix = "refs/tags/"
	}
	if !strings.HasPrefix(missing, prefix) {
		return ""
	}
	names := similar(strings.TrimPrefix(missing, prefix), prefix, l)
	if len(names) == 0 {
		if l.Head != "" {
			return fmt.Sprintf("its default branch is %q", shortRef(l.Head))
		}
		return ""
	}
	return "did you mean " + strings.Join(names, ", ") + "?"
}

// similar returns up to three names below prefix, quoted, the likest first.
func similar(name, prefix string, l remote.Listing) []string {
	const most = 3
	type candidate struct {
		name     string
		distance int
	}
	var found []candidate
	for ref := range maps.Keys(l.Refs) {
		short, ok := strings.CutPrefix(ref, prefix)
		if !ok {
			continue
		}
		d := distance(strings.ToLower(name), strings.ToLower(short))
		if d <= max(len(name)/3, 2) && d < len(name) || path(short) == path(name) {
			found = append(found, candidate{short, d})
		}
	}
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), strings.Compare(a.name, b.name))
	})
	var out []string
	for _, c := range found[:min(len(found), most)] {
		out = append(out, fmt.Sprintf("%q", c.name))
	}
	return out
}

// path is the last element of a ref name: "main" for "team/main".
func path(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// distance counts the edits between two names (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
