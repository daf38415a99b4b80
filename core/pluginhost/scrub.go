package pluginhost

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/schema"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

const (
	scrubMin     = 6     // shorter values would hit innocent text
	scrubMinLine = 16    // of one line of a secret of several lines
	scrubMost    = 10000 // forms kept; the oldest are forgotten first
	scrubPassing = 384   // forms kept of values that pass, some dozens of them
)

// Scrubber replaces known secret values in text that leaves the host: plugin
// log lines, diagnostics, errors, crash records, events. It also knows the
// forms that secrets commonly travel in: base64, URL-escaped, JSON-escaped,
// and single lines of a value with several, such as a private key. Values of
// fewer than 6 bytes are not replaced. The zero Scrubber is ready to use and
// safe for concurrent use.
type Scrubber struct {
	mu       sync.Mutex
	lasting  formSet
	passing  formSet
	replacer atomic.Pointer[strings.Replacer]
}

// formSet is forms in the order in which they were added.
type formSet struct {
	order []string
	known map[string]bool
}

// add registers the forms of values, of which most are kept, and reports
// whether any was new.
func (f *formSet) add(values []string, most int) bool {
	before := len(f.order)
	for _, v := range values {
		for _, form := range forms(v) {
			if f.known[form] {
				continue
			}
			if f.known == nil {
				f.known = map[string]bool{}
			}
			f.known[form] = true
			f.order = append(f.order, form)
		}
	}
	added := len(f.order) > before
	for len(f.order) > most {
		delete(f.known, f.order[0])
		f.order = f.order[1:]
	}
	return added
}

// Add registers values.
func (s *Scrubber) Add(values ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lasting.add(values, scrubMost) {
		s.rebuild()
	}
}

// AddPassing registers values that are soon replaced by others, as passwords
// of clouds are: large ones, without end. Only the last of them are known.
func (s *Scrubber) AddPassing(values ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.passing.add(values, scrubPassing) {
		s.rebuild()
	}
}

func (s *Scrubber) rebuild() {
	// A Replacer prefers the pair that comes first: a secret that contains
	// another one has to come before it.
	longest := slices.SortedFunc(slices.Values(slices.Concat(s.lasting.order, s.passing.order)), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	pairs := make([]string, 0, 2*len(longest))
	for _, f := range longest {
		pairs = append(pairs, f, secret.Redacted)
	}
	s.replacer.Store(strings.NewReplacer(pairs...))
}

// forms returns the texts in which value may show up.
func forms(value string) []string {
	if len(value) < scrubMin {
		return nil
	}
	quoted, _ := json.Marshal(value) // a string always marshals
	all := []string{
		value,
		string(quoted[1 : len(quoted)-1]),
		url.QueryEscape(value),
		url.PathEscape(value),
		base64.StdEncoding.EncodeToString([]byte(value)),
		base64.RawURLEncoding.EncodeToString([]byte(value)),
	}
	if strings.Contains(value, "\n") {
		for line := range strings.Lines(value) {
			line = strings.TrimSpace(line)
			if len(line) >= scrubMinLine && !strings.HasPrefix(line, "-----") {
				all = append(all, line)
			}
		}
	}
	return all
}

// Scrub returns text with each known value replaced by "(redacted)".
func (s *Scrubber) Scrub(text string) string {
	r := s.replacer.Load()
	if r == nil {
		return text
	}
	return r.Replace(text)
}

// Diags returns a copy of l with known values replaced.
func (s *Scrubber) Diags(l diag.List) diag.List {
	if len(l) == 0 {
		return l
	}
	out := slices.Clone(l)
	for i := range out {
		out[i].Summary, out[i].Detail = s.Scrub(out[i].Summary), s.Scrub(out[i].Detail)
	}
	return out
}

// Err returns err with known values replaced in its text and in the
// diagnostics it carries. errors.Is still finds what err wraps.
func (s *Scrubber) Err(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	clean := s.Scrub(text)
	if clean == text {
		return err
	}
	if l, ok := diag.From(err); ok {
		return &scrubbedError{text: clean, is: err, diags: s.Diags(l).Err()}
	}
	return &scrubbedError{text: clean, is: err}
}

// scrubbedError keeps the identity of an error, but not its text: it has no
// Unwrap, since what it wraps would print the secret.
type scrubbedError struct {
	text  string
	is    error
	diags error // the diagnostics of is, scrubbed
}

func (e *scrubbedError) Error() string        { return e.text }
func (e *scrubbedError) Is(target error) bool { return errors.Is(e.is, target) }
func (e *scrubbedError) As(target any) bool {
	return e.diags != nil && errors.As(e.diags, target) || errors.As(e.is, target)
}

// sensitiveValues returns the strings in config that s marks as sensitive.
// config is the JSON form of a block that has been decoded against s.
func sensitiveValues(s *schema.Schema, config json.RawMessage) []string {
	if s == nil || len(config) == 0 {
		return nil
	}
	var values map[string]json.RawMessage
	if json.Unmarshal(config, &values) != nil {
		return nil // the plugin will say what is wrong with it
	}
	var found []string
	for _, a := range s.Attributes {
		if a.Sensitive {
			found = append(found, stringsIn(values[a.Name])...)
		}
	}
	for _, b := range s.Blocks {
		for _, body := range bodies(b.Nesting, values[b.Name]) {
			found = append(found, sensitiveValues(&b.Body, body)...)
		}
	}
	return found
}

func bodies(n schema.Nesting, raw json.RawMessage) []json.RawMessage {
	switch n {
	case schema.List:
		var list []json.RawMessage
		_ = json.Unmarshal(raw, &list) // of another shape: nothing in it
		return list
	case schema.Map:
		var byLabel map[string]json.RawMessage
		_ = json.Unmarshal(raw, &byLabel)
		list := make([]json.RawMessage, 0, len(byLabel))
		for _, body := range byLabel {
			list = append(list, body)
		}
		return list
	}
	return []json.RawMessage{raw}
}

// stringsIn returns every string in a JSON value, however deep.
func stringsIn(raw json.RawMessage) []string {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return nil
	}
	var found []string
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			found = append(found, v)
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(v)
	return found
}
