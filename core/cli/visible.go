package cli

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// visible is text for a terminal. Names, images and the words of registries
// and plugins are written by strangers: a control character in them could clear
// the screen, hide a row or forge one, and is shown as Go writes it: \x1b. So is
// a line end, which would break a table.
func visible(text string) string { return escape(text, "") }

// visibleLines is visible for text that may have several lines.
func visibleLines(text string) string { return escape(text, "\n\t") }

func escape(text, keep string) string {
	plain := func(r rune) bool { return unicode.IsPrint(r) || strings.ContainsRune(keep, r) }
	if utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !plain(r) }) {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		if plain(r) && (r != utf8.RuneError || size > 1) {
			b.WriteString(text[:size])
		} else {
			quoted := strconv.Quote(text[:size])
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		text = text[size:]
	}
	return b.String()
}
