package remote

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

const (
	redacted   = "(redacted)"
	maxMessage = 300 // runes of a registry's own words
)

var (
	urlQuery   = regexp.MustCompile(`(https?://[^\s?"'<>]+)\?[^\s"'<>]*`)
	urlUser    = regexp.MustCompile(`(https?://)[^\s/@"'<>]+@`)
	authScheme = regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/-]{8,}=*`)
	jwt        = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{6,}(\.[A-Za-z0-9_-]*){1,4}`)
)

// scrub makes one bounded line of what a registry said, without the secrets
// that are known, what looks like one, and the queries of URLs, which hold
// signatures.
func scrub(text string, secrets []string) string {
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, redacted)
		}
	}
	text = urlUser.ReplaceAllString(text, "${1}"+redacted+"@")
	text = urlQuery.ReplaceAllString(text, "$1")
	text = authScheme.ReplaceAllString(text, "$1 "+redacted)
	text = jwt.ReplaceAllString(text, redacted)
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if runes := []rune(text); len(runes) > maxMessage {
		text = string(runes[:maxMessage]) + "..."
	}
	return text
}

// bare takes the URL off an error of net/http and net/url: it may hold a
// signature or a token in its query.
func bare(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
