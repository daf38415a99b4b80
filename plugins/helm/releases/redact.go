package releases

import (
	"regexp"
	"slices"
	"strconv"
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

// hidden are texts that nothing may show: values that look secret.
type hidden struct{ texts []string }

// hide hides what is in values.
func (h *hidden) hide(values map[string]any) {
	collect(values, false, &h.texts)
	slices.Sort(h.texts)
	h.texts = slices.Compact(h.texts)
	slices.SortStableFunc(h.texts, func(a, b string) int { return len(b) - len(a) })
}

// clean takes what is hidden out of a text.
func (h *hidden) clean(text string) string {
	for _, value := range h.texts {
		text = strings.ReplaceAll(text, value, redactedText)
	}
	return text
}

// reword takes what is hidden out of the text of err, unless that is in words of
// our own.
func (h *hidden) reword(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := diag.From(err); ok {
		return err
	}
	if text := h.clean(err.Error()); text != err.Error() {
		return &reworded{text, err}
	}
	return err
}

// redact takes values that look secret out of the text of err.
func redact(err error, values secret.Secret) error {
	if err == nil {
		return nil
	}
	parsed, bad := parse(values)
	if bad != nil {
		return err
	}
	var h hidden
	h.hide(parsed)
	return h.reword(err)
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
			if quoted := strconv.Quote(v); quoted[1:len(quoted)-1] != v { // as it stands in quotations
				*found = append(*found, quoted[1:len(quoted)-1])
			}
		}
	}
}
