// Package words puts errors, counts and revisions into the words that people
// read in reasons, events and tables.
package words

import (
	"fmt"
	"strings"

	"github.com/sluice-gitops/sluice/sdk/source"
)

// OneLine makes err a reason: one line.
func OneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// Count counts things: "1 change", "2 changes".
func Count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// Short abbreviates a commit hash or a digest.
func Short(id string) string {
	const enough = 12
	if len(id) > enough {
		return id[:enough]
	}
	return id
}

// Revision names a revision for a person: main@1a2b3c4 "fix the web".
func Revision(r source.Revision) string {
	text := Short(r.ID)
	if r.Ref != "" {
		text = r.Ref + "@" + text
	}
	if r.Message != "" {
		text += fmt.Sprintf(" %q", r.Message)
	}
	return text
}
