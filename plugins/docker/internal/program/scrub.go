package program

import (
	"slices"
	"strings"
	"unicode"
)

const (
	redacted = "(redacted)"
	// minSecret is the length from which a word counts as a secret: shorter
	// ones are words of messages.
	minSecret = 6
	// maxShown is how much of standard error an error repeats.
	maxShown = 512
)

// words splits output into what may be secrets: JSON strings and other runs
// without white space.
func words(output string) []string {
	return strings.FieldsFunc(output, func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune(`"{}[],:`, r)
	})
}

// scrub makes a line for people of what a program has written to standard
// error, without any of the secrets.
func scrub(text string, secrets []string) string {
	// The longest first: one may be part of another.
	secrets = slices.SortedFunc(slices.Values(secrets), func(a, b string) int { return len(b) - len(a) })
	for _, s := range secrets {
		if len(s) >= minSecret {
			text = strings.ReplaceAll(text, s, redacted)
		}
	}
	return oneLine(text)
}

func oneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxShown {
		return "..." + strings.ToValidUTF8(text[len(text)-maxShown:], "")
	}
	return text
}
