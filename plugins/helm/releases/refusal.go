package releases

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
)

// What an API server, or Helm, says against an object.
var (
	quotation = regexp.MustCompile(`(?:Invalid|Duplicate|Unsupported) value: `)
	unapplied = regexp.MustCompile(`(?:failed to create resource: )?server-side apply failed for object [^/ ]*/(\S+) \S*, Kind=(\w+): (?:failed to create typed patch object \([^)]*\): \.)?`)
	unpatched = regexp.MustCompile(`cannot patch "([^"]*)" with kind (\w+): `)
	unfitting = regexp.MustCompile(`\s*(?:[\w.]* ?"[^"]*" is invalid: )?patch: json: cannot unmarshal (\w+) into Go struct field \w+\.(\S+) of type (\S+)`)
)

// mostQuoted of a value is told, in bytes.
const mostQuoted = 80

// refusal is err as kind/name: field: reason, as far as it is known how it tells
// that, and without whole objects in its text: an API server that refuses a
// patch quotes what it was to be applied to, and of a field that may not change
// all that is below it. What matters comes after that, and what should not be
// seen is in it.
func refusal(err error) error {
	if err == nil {
		return nil
	}
	text := withoutValues(err.Error())
	text = unapplied.ReplaceAllString(text, "$2/$1: ")
	text = unpatched.ReplaceAllString(text, "$2/$1: ")
	text = strings.TrimSpace(unfitting.ReplaceAllString(text, " $2: cannot unmarshal $1 into $3"))
	if text == err.Error() {
		return err
	}
	return &reworded{text, err}
}

// withoutValues leaves out long values that are quoted in text.
func withoutValues(text string) string {
	var b strings.Builder
	for {
		at := quotation.FindStringIndex(text)
		if at == nil {
			b.WriteString(text)
			return b.String()
		}
		rest := text[at[1]:]
		if value := valueOf(rest); len(value) > mostQuoted {
			b.WriteString(text[:at[0]])
			text = strings.TrimPrefix(rest[len(value):], ": ")
			continue
		}
		b.WriteString(text[:at[1]])
		text = rest
	}
}

// valueOf is the value that text begins with: quoted, JSON, or all up to the
// last colon.
func valueOf(text string) string {
	if quoted, err := strconv.QuotedPrefix(text); err == nil {
		return quoted
	}
	var value json.RawMessage
	decoder := json.NewDecoder(strings.NewReader(text))
	if err := decoder.Decode(&value); err == nil {
		return text[:decoder.InputOffset()]
	}
	if i := strings.LastIndex(text, ": "); i >= 0 {
		return text[:i]
	}
	return text
}
