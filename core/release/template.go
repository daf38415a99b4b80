package release

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// Template writes the objects that an install would make as YAML documents, each
// begun by a line of three dashes, values of Secrets included: whoever shows
// them masks them.
func (r *Runner) Template(ctx context.Context, s Spec, h Host, out io.Writer) (err error) {
	n := r.begin(&s, &h, Record{}, nil)
	defer n.end()
	if err := n.prepare(ctx); err != nil {
		return n.told(n.values.located(err))
	}
	dir, err := n.pull(ctx)
	if err != nil {
		return n.told(err)
	}
	tmp, err := os.MkdirTemp(r.tmp, "template-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	file := filepath.Join(tmp, "objects.jsonl")
	if _, err := h.Helm.Template(ctx, n.helmRelease(dir), file); err != nil {
		return n.told(n.values.located(err))
	}
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("rendered objects: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	return documents(f, out)
}

// documents writes JSON values, one a line, as YAML documents.
func documents(in io.Reader, out io.Writer) error {
	dec := json.NewDecoder(bufio.NewReader(in))
	dec.UseNumber()
	for {
		var object any
		err := dec.Decode(&object)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("rendered objects: %w", err)
		}
		var doc bytes.Buffer
		doc.WriteString("---\n")
		enc := yaml.NewEncoder(&doc)
		enc.SetIndent(2)
		if err := errors.Join(enc.Encode(numbers(object)), enc.Close()); err != nil {
			return fmt.Errorf("rendered objects: %w", err)
		}
		if _, err := out.Write(doc.Bytes()); err != nil {
			return err
		}
	}
}

// numbers makes what YAML writes as numbers of what JSON has as such.
func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, below := range v {
			v[key] = numbers(below)
		}
	case []any:
		for i, below := range v {
			v[i] = numbers(below)
		}
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
		return v.String()
	}
	return v
}
