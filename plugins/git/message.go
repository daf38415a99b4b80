package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/sdk/source"
)

// message is the text of the commit for c: what c says, the text that keeps CI
// from building it, and trailers as git interpret-trailers reads them.
func (w *Write) message(c source.Change) (string, error) {
	parts := []string{strings.TrimSpace(clean(c.Message))}
	if parts[0] == "" {
		parts[0] = summary(c.Edits)
	}
	if skip := strings.TrimSpace(clean(w.CISkipMessage)); w.CISkip && skip != "" && !strings.Contains(parts[0], skip) {
		parts = append(parts, skip)
	}
	var trailers []string
	for _, key := range slices.Sorted(maps.Keys(c.Trailers)) {
		if !trailerKey(key) {
			return "", fmt.Errorf("%q is not the name of a trailer: letters, digits and dashes", key)
		}
		value := strings.Join(strings.FieldsFunc(clean(c.Trailers[key]), func(r rune) bool { return r == '\n' }), "\n ")
		if strings.TrimSpace(value) != "" {
			trailers = append(trailers, key+": "+strings.TrimSpace(value))
		}
	}
	if len(trailers) > 0 {
		parts = append(parts, strings.Join(trailers, "\n"))
	}
	return strings.Join(parts, "\n\n") + "\n", nil
}

// summary is the message of a change that brings none.
func summary(edits []source.Edit) string {
	if len(edits) == 1 {
		return "Update " + strings.ReplaceAll(edits[0].Path, "\n", " ")
	}
	return fmt.Sprintf("Update %d files", len(edits))
}

// clean removes what no commit message holds.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	return strings.NewReplacer("\r\n", "\n", "\r", "\n", "\x00", "").Replace(s)
}

func trailerKey(key string) bool {
	return key != "" && !strings.ContainsFunc(key, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}
