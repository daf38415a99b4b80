package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-gitops/sluice/core/manifest/values"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// ErrNoValues says that a ConfigMap, Secret or key does not exist, or a file or
// a page.
var ErrNoValues = errors.New("does not exist")

// Bounds of values. What a plugin takes in one message has 16 MiB.
const (
	partMax  = 8 << 20  // of each place, as text
	totalMax = 15 << 20 // of all together, as JSON
)

// defaultKey is the key of a ConfigMap or Secret that holds values.
const defaultKey = "values.yaml"

// Composed are values from all places.
type Composed struct {
	Values secret.Secret // JSON object
	// Secrets are the JSON pointers of values that come from a Secret.
	Secrets []string
}

// part is what one place gives.
type part struct {
	what   string // the place, for people
	file   string // where text is a file that people can open; may be empty
	secret bool
	text   []byte
	values map[string]any
	locate func(diag.Path) *diag.Range // in place of text; may be nil
}

// composed are the parts of a release's values, weakest first, and what they
// come to.
type composed struct {
	parts  []part
	merged map[string]any
	json   []byte
}

// reading is where the parts of one release are read from.
type reading struct {
	s     *Spec
	h     *Host
	fetch *fetcher
	chart func(ctx context.Context) (dir string, err error)
	trees func(ctx context.Context, source string) (Tree, error)
	warn  func(text string) // may be nil: then there is nobody to warn, and what would be told so is an error
}

// compose reads all parts and puts each over those before it.
func (r *reading) compose(ctx context.Context) (*composed, error) {
	c := &composed{merged: map[string]any{}}
	for i := range r.s.From {
		p, err := r.part(ctx, &r.s.From[i])
		if err != nil {
			return nil, err
		}
		c.add(p)
	}
	if err := c.inline(r.s); err != nil {
		return nil, err
	}
	if err := c.write(); err != nil {
		return nil, err
	}
	return c, nil
}

// write makes JSON of all parts together.
func (c *composed) write() error {
	text, err := json.Marshal(c.merged)
	switch {
	case err != nil:
		return errors.New("the values cannot be written as JSON")
	case len(text) > totalMax:
		return fmt.Errorf("the values have %d MiB as JSON, more than %d MiB", len(text)>>20, totalMax>>20)
	}
	c.json = text
	return nil
}

func (c *composed) add(p part) {
	c.parts = append(c.parts, p)
	values.Merge(c.merged, p.values)
}

func (c *composed) inline(s *Spec) error {
	if s.Values.IsZero() {
		return nil
	}
	v, err := values.Parse([]byte(s.Values.Reveal()))
	if err != nil {
		return fmt.Errorf("values: %w", err)
	}
	locate := s.Locate
	if locate == nil {
		locate = func(diag.Path) *diag.Range { return nil }
	}
	c.add(part{what: "values", values: v, locate: locate})
	return nil
}

// part reads one place. An optional one that is not there is empty.
func (r *reading) part(ctx context.Context, from *ValuesFrom) (part, error) {
	p, err := r.text(ctx, from)
	if err == nil {
		p.values, err = values.Parse(p.text)
	}
	if err == nil {
		return p, nil
	}
	bad, notYAML := errors.AsType[*values.Error](err)
	missing := errors.Is(err, ErrNoValues) || errors.Is(err, fs.ErrNotExist)
	if from.Optional && missing {
		return part{what: p.what}, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return part{}, cause
	}
	d := diag.Diagnostic{Summary: fmt.Sprintf("%s: %s", p.what, plainError(err)), Subject: placeOf(from.Place)}
	if from.Optional && from.Lenient && notYAML && r.warn != nil {
		r.warn(fmt.Sprintf("%s, line %d: %v: the release goes without these values, since they are optional", p.what, bad.Line, bad))
		return part{what: p.what}, nil
	}
	switch {
	case notYAML && p.file != "":
		at := diag.Pos{Line: bad.Line, Column: bad.Column}
		d.Subject = &diag.Range{File: p.file, Start: at, End: at}
	case notYAML:
		d.Summary = fmt.Sprintf("%s, line %d: %v", p.what, bad.Line, bad)
	case missing:
		d.Detail = "If the release can do without it, say that it is optional."
	}
	return part{}, &partError{d, err}
}

// partError keeps the cause of a diagnostic.
type partError struct {
	diag  diag.Diagnostic
	cause error
}

func (e *partError) Error() string { return e.diag.Error() }

// Unwrap gives both, for diag.From and errors.Is.
func (e *partError) Unwrap() []error { return []error{e.diag, e.cause} }

// plainError is an error in a line, without the path of a directory of ours.
func plainError(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		if errors.Is(p, fs.ErrNotExist) {
			return "does not exist"
		}
		return p.Err.Error()
	}
	text := oneLine(err)
	if shorter, ok := strings.CutSuffix(text, ": "+ErrNoValues.Error()); ok && strings.Contains(shorter, "no such") {
		return shorter // which says so
	}
	return text
}

// placeOf reads file:line or file:line:column.
func placeOf(place string) *diag.Range {
	if place == "" {
		return nil
	}
	fields := strings.Split(place, ":")
	var numbers []int
	for len(fields) > 1 && len(numbers) < 2 {
		n, err := strconv.Atoi(fields[len(fields)-1])
		if err != nil {
			break
		}
		numbers, fields = append([]int{n}, numbers...), fields[:len(fields)-1]
	}
	r := &diag.Range{File: strings.Join(fields, ":")}
	if len(numbers) > 0 {
		r.Start.Line = numbers[0]
	}
	if len(numbers) > 1 {
		r.Start.Column = numbers[1]
	}
	r.End = r.Start
	return r
}

// text reads the text of one place. The part tells which place even if there is
// an error.
func (r *reading) text(ctx context.Context, from *ValuesFrom) (p part, err error) {
	switch {
	case from.ConfigMap != nil && r.h.Config == nil, from.Secret != nil && r.h.Secret == nil:
		p.what = "values_from"
		err = errors.New("neither ConfigMaps nor Secrets of the target can be read here")
	case from.ConfigMap != nil:
		k := keyOf(from.ConfigMap)
		p.what = fmt.Sprintf("key %s of ConfigMap %s/%s", k.Key, k.Namespace, k.Name)
		var text string
		text, err = r.h.Config(ctx, k.Namespace, k.Name, k.Key)
		p.text = []byte(text)
	case from.Secret != nil:
		k := keyOf(from.Secret)
		p.what, p.secret = fmt.Sprintf("key %s of Secret %s/%s", k.Key, k.Namespace, k.Name), true
		var text secret.Secret
		text, err = r.h.Secret(ctx, k.Namespace, k.Name, k.Key)
		p.text = []byte(text.Reveal())
	case from.URL != "":
		p.what = plainURL(from.URL)
		p.text, err = r.fetch.fetch(ctx, from, r.h.Remotes)
	case from.ChartFile != "":
		p.what, p.file = "file "+from.ChartFile+" of the chart", from.ChartFile
		var dir string
		if dir, err = r.chart(ctx); err == nil {
			p.text, err = readBelow(dir, from.ChartFile)
		}
	default:
		p.what, p.file = "file "+from.Path+" of "+from.Source, from.Path
		var tree Tree
		if tree, err = r.trees(ctx, from.Source); err == nil {
			p.text, err = readBelow(tree.Dir, from.Path)
		}
	}
	if err == nil && len(p.text) > partMax {
		err = fmt.Errorf("more than %d MiB", partMax>>20)
	}
	return p, err
}

func keyOf(k *ObjectKey) ObjectKey {
	key := *k
	if key.Key == "" {
		key.Key = defaultKey
	}
	return key
}

// readBelow reads a file of a directory. Nothing outside of it can be reached,
// by symbolic links neither.
func readBelow(dir, name string) (data []byte, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // only read
	name = filepath.FromSlash(name)
	info, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("is no regular file")
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	return readPart(f)
}

// secrets are the JSON pointers of what Secrets have set.
func (c *composed) secrets() (pointers []string) {
	c.walk(c.merged, c.layers(), "", func(pointer string, _ any) { pointers = append(pointers, pointer) })
	return pointers
}

// secretTexts are the texts that Secrets have set.
func (c *composed) secretTexts() (texts []string) {
	c.walk(c.merged, c.layers(), "", func(_ string, v any) { texts = append(texts, textsIn(v)...) })
	return texts
}

func (c *composed) layers() []any {
	layers := make([]any, len(c.parts))
	for i, p := range c.parts {
		layers[i] = p.values
	}
	return layers
}

// walk visits the values below v that a Secret has set. layers are what each
// part has there; a nil in a part is a value like others, so absent is told
// apart.
func (c *composed) walk(v any, layers []any, pointer string, visit func(pointer string, v any)) {
	m, isMap := v.(map[string]any)
	if !isMap || len(m) == 0 {
		for i := len(layers) - 1; i >= 0; i-- {
			if layers[i] == absent {
				continue
			}
			if c.parts[i].secret {
				visit(pointer, v)
			}
			return
		}
		return
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		below := make([]any, len(layers))
		for i, layer := range layers {
			below[i] = absent
			if lm, ok := layer.(map[string]any); ok {
				if value, ok := lm[key]; ok {
					below[i] = value
				}
			}
		}
		c.walk(m[key], below, pointer+"/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(key), visit)
	}
}

// absent stands for no value, where nil is a null.
var absent any = &struct{ byte }{}
