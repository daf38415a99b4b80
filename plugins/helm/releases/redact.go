package releases

import (
	"regexp"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// telling are keys whose values must not be seen. What a template or the API
// server says against a value may quote it.
var telling = regexp.MustCompile(`(?i)pass|secret|token|credential|private|apikey|accesskey|(^|[._-])key$`)

// shortest is the length from which a text is replaced: a shorter one would
// be found everywhere.
const shortest = 4

const redactedText = "(redacted)"

// redact takes values that look secret out of the text of err.
func redact(err error, values secret.Secret) error {
	if err == nil {
		return nil
	}
	if _, ok := diag.From(err); ok { // words of our own
		return err
	}
	parsed, bad := parse(values)
	if bad != nil {
		return err
	}
	text := err.Error()
	var found []string
	collect(parsed, false, &found)
	slices.SortFunc(found, func(a, b string) int { return len(b) - len(a) })
	for _, value := range found {
		text = strings.ReplaceAll(text, value, redactedText)
	}
	if text == err.Error() {
		return err
	}
	return &reworded{text, err}
}

// reworded is an error in other words.
type reworded struct {
	text string
	err  error
}

func (r *reworded) Error() string { return r.text }
func (r *reworded) Unwrap() error { return r.err }

func collect(value any, secret bool, found *[]string) {
	switch v := value.(type) {
	case map[string]any:
		for key, below := range v {
			collect(below, secret || telling.MatchString(key), found)
		}
	case []any:
		for _, below := range v {
			collect(below, secret, found)
		}
	case string:
		if secret && len(v) >= shortest {
			*found = append(*found, v)
		}
	}
}
