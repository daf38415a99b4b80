package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// maxListed is how many known names a message lists when none is similar.
const maxListed = 20

// didYouMean returns a sentence, with a space before it, that proposes one of
// known for name: the most similar, or else all of them if they are few.
func didYouMean(name string, known []string) string {
	if best := diag.Nearest(name, known); best != "" {
		return fmt.Sprintf(" Did you mean %q?", best)
	}
	if len(known) == 0 || len(known) > maxListed {
		return ""
	}
	known = slices.Sorted(slices.Values(known))
	return fmt.Sprintf(" Known: %s.", strings.Join(slices.Compact(known), ", "))
}
