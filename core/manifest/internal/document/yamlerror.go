package document

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
)

var (
	yamlLineForm   = regexp.MustCompile(`^line (\d+): `)
	yamlAnchorForm = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
)

// grammarErrors begin those messages of the YAML library whose line is one too
// small: it counts lines from 0 and adds one only if the error is in a token.
var grammarErrors = []string{
	"did not find expected <", "did not find expected node content", "did not find expected key",
	"did not find expected ',' or", "did not find expected '-' indicator", "found undefined tag handle",
	"found duplicate", "found incompatible YAML document",
}

// yamlError takes apart a message of the YAML library about text: the line,
// from 1, and what is wrong there.
func yamlError(text []byte, message string) (line int, rest string) {
	rest = message
	if m := yamlLineForm.FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1]) // digits
		rest = message[len(m[0]):]
	}
	for _, prefix := range grammarErrors {
		if strings.HasPrefix(rest, prefix) {
			return line + 1, rest
		}
	}
	if line > 0 {
		return line, rest
	}
	// Some messages come without a line.
	at := 0
	if m := yamlAnchorForm.FindStringSubmatch(rest); m != nil {
		at = bytes.Index(text, []byte("*"+m[1]))
	} else if strings.HasPrefix(rest, "control characters") {
		at = bytes.IndexFunc(text, isControl)
	}
	return 1 + lineBreaks(text[:max(at, 0)]), rest
}

// isControl reports whether YAML forbids r.
func isControl(r rune) bool {
	return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r >= 0x7f && r < 0xa0 && r != 0x85 || r == 0xfffe || r == 0xffff
}

// lineBreaks returns how many lines end in text.
func lineBreaks(text []byte) (n int) {
	for len(text) > 0 {
		length := LineLength(text)
		if last := text[length-1]; last == '\n' || last == '\r' {
			n++
		}
		text = text[length:]
	}
	return n
}

// LineOf returns a line of text, counted from 1.
func LineOf(text []byte, line int) string {
	for ; line > 1 && len(text) > 0; line-- {
		text = text[LineLength(text):]
	}
	return string(text[:LineLength(text)])
}
