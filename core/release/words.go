package release

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Every text that leaves this package, and that was not written here, goes
// through the functions of this file: it is one line, does not repeat which
// instance of which plugin speaks, and holds nothing that came from a Secret.

// unnamed is an error that begins with the name of a plugin's instance.
type unnamed interface{ Unnamed() error }

// oneLine is the text of an error in a line.
func oneLine(err error) string {
	return strings.TrimSuffix(strings.Join(strings.Fields(plain(err.Error(), err)), " "), ".")
}

// plain takes the names of instances out of the text of an error.
func plain(text string, err error) string {
	switch e := any(err).(type) {
	case unnamed:
		inner := e.Unnamed()
		return plain(strings.ReplaceAll(text, err.Error(), inner.Error()), inner)
	case interface{ Unwrap() error }:
		return plain(text, e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			text = plain(text, inner)
		}
	}
	return text
}

// words is the text of an error for people.
func (n *run) words(err error) string { return n.clean(oneLine(err)) }

// told is err as it may leave the package. It is what err is, with other words.
func (n *run) told(err error) error {
	if err == nil {
		return nil
	}
	said := &toldError{text: n.words(err), cause: err}
	if list, ok := diag.From(err); ok {
		list = slices.Clone(list)
		for i := range list {
			list[i].Summary, list[i].Detail = n.clean(list[i].Summary), n.clean(list[i].Detail)
		}
		said.diags = list.Err()
	}
	return said
}

// toldError has no Unwrap: what it wraps would print what it does not.
type toldError struct {
	text  string
	cause error
	diags error // in place of those of cause
}

func (e *toldError) Error() string        { return e.text }
func (e *toldError) Is(target error) bool { return errors.Is(e.cause, target) }
func (e *toldError) As(target any) bool {
	return e.diags != nil && errors.As(e.diags, target) || errors.As(e.cause, target)
}

// clean is text without what came from Secrets.
func (n *run) clean(text string) string {
	if n.censor == nil || text == "" {
		return text
	}
	return n.censor.Replace(text)
}

func (n *run) cleanChange(c helm.Change) helm.Change {
	if n.veiled && c.Diff != "" {
		c.Diff = notShown + "\n"
	}
	c.Diff, c.Problem = n.clean(c.Diff), n.clean(c.Problem)
	return c
}

func (n *run) cleanRevision(r helm.Revision) helm.Revision {
	r.Message = n.clean(r.Message)
	return r
}

// hide keeps values out of the texts of the run from now on.
func (n *run) hide(values ...string) {
	for _, v := range values {
		n.hidden = append(n.hidden, forms(v)...)
	}
	// A Replacer prefers the pair that comes first: what holds another comes
	// before it.
	slices.SortFunc(n.hidden, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	n.hidden = slices.Compact(n.hidden)
	if len(n.hidden) == 0 {
		return
	}
	pairs := make([]string, 0, 2*len(n.hidden))
	for _, form := range n.hidden {
		pairs = append(pairs, form, secret.Redacted)
	}
	n.censor = strings.NewReplacer(pairs...)
}

// Shorter ones would hit innocent text.
const (
	hiddenMin     = 4
	hiddenLineMin = 16 // of one line of a value with several
	hiddenNumber  = 6  // of a number, as text
)

// forms are the texts in which a value may show up.
func forms(value string) []string {
	if len(value) < hiddenMin {
		return nil
	}
	asJSON, _ := json.Marshal(value) // a string always marshals
	asGo := strconv.Quote(value)
	all := []string{
		value, string(asJSON[1 : len(asJSON)-1]), asGo[1 : len(asGo)-1],
		url.QueryEscape(value), url.PathEscape(value), base64.StdEncoding.EncodeToString([]byte(value)),
	}
	if joined := strings.Join(strings.Fields(value), " "); len(joined) >= hiddenMin {
		all = append(all, joined)
	}
	for line := range strings.Lines(value) {
		if line = strings.TrimSpace(line); len(line) >= hiddenLineMin && line != value && !strings.HasPrefix(line, "-----") {
			all = append(all, line)
		}
	}
	return all
}

// textsIn are the texts of a value, however deep.
func textsIn(v any) (texts []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case int64, float64:
		if text := fmt.Sprint(v); len(text) >= hiddenNumber {
			return []string{text}
		}
	case []any:
		for _, below := range v {
			texts = append(texts, textsIn(below)...)
		}
	case map[string]any:
		for _, below := range v {
			texts = append(texts, textsIn(below)...)
		}
	}
	return texts
}

// expired is how a context's deadline reads in an error.
var expired = context.DeadlineExceeded.Error()

// inTime is the error of an operation: of one that has taken too long, it tells
// how long, and what it has waited for.
func (n *run) inTime(ctx context.Context, err error, timeout time.Duration) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	text := oneLine(err)
	if !strings.Contains(text, expired) {
		return err
	}
	rest := strings.Trim(strings.NewReplacer(": "+expired, "", expired+": ", "", expired, "").Replace(text), " :;,")
	if last := n.last; last.Object != "" && !strings.Contains(rest, last.Object) {
		rest = strings.TrimPrefix(rest+"; waited for "+strings.Trim(last.Object+": "+last.Message, ": "), "; ")
	}
	return &toldError{text: strings.TrimSuffix(fmt.Sprintf("not done within %s: %s", timeout, rest), ": "), cause: err}
}

// are names objects, with the verb.
func are(changes []helm.Change) string {
	const most = 3
	var names []string
	for i, c := range changes {
		if i == most {
			names = append(names, fmt.Sprintf("%d more", len(changes)-most))
			break
		}
		names = append(names, objectString(c))
	}
	if len(names) == 1 {
		return names[0] + " is"
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1] + " are"
}

func objectString(c helm.Change) string {
	if c.Namespace == "" {
		return c.Kind + " " + c.Name
	}
	return c.Kind + " " + c.Namespace + "/" + c.Name
}
