package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/plugins/git/internal/remote"
	"github.com/sluice-gitops/sluice/sdk/diag"
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

// similar returns up to three names below prefix, quoted, the likeliest first:
// names like it, and names that end alike, "team/main" for "main".
func similar(name, prefix string, l remote.Listing) []string {
	const most = 3
	var known, alike []string
	for _, ref := range slices.Sorted(maps.Keys(l.Refs)) {
		short, ok := strings.CutPrefix(ref, prefix)
		if !ok {
			continue
		}
		known = append(known, short)
		if path(short) == path(name) {
			alike = append(alike, short)
		}
	}
	var out []string
	for _, n := range append(diag.Similar(name, known, most), alike...) {
		if quoted := fmt.Sprintf("%q", n); len(out) < most && !slices.Contains(out, quoted) {
			out = append(out, quoted)
		}
	}
	return out
}

// path is the last element of a ref name: "main" for "team/main".
func path(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }
