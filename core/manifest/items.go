package manifest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/sluice-gitops/sluice/core/manifest/internal/document"
)

// WriteItems writes the objects to the file at path, in the format of
// applier.Set.Objects: one JSON applier.Item a line. Equal results give equal
// files. The file is replaced as a whole or, with an error, left as it was:
// whoever has the old one open goes on reading that.
func (r Result) WriteItems(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write objects: %w", err)
	}
	_, err = r.WriteTo(f)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write objects: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// WriteTo writes the objects to w as WriteItems does.
func (r Result) WriteTo(w io.Writer) (int64, error) {
	buf := bufio.NewWriterSize(w, 64<<10)
	var n int64
	var line []byte
	for _, o := range r.Objects {
		line = o.appendItem(line[:0])
		written, err := buf.Write(line)
		n += int64(written)
		if err != nil {
			return n, err
		}
	}
	return n, buf.Flush()
}

// appendItem appends o as a line with an applier.Item, without decoding what
// is JSON already.
func (o Object) appendItem(b []byte) []byte {
	b = append(b, `{"file":`...)
	b = append(b, encode(o.File)...)
	b = append(b, `,"line":`...)
	b = strconv.AppendInt(b, int64(o.Line), 10)
	if o.Ignore != "" {
		b = append(b, `,"ignore":`...)
		b = append(b, encode(o.Ignore)...)
	}
	b = append(b, `,"object":`...)
	b = append(b, o.JSON...)
	return append(b, "}\n"...)
}

// encode returns v as JSON, with <, > and & as they are. v is of the types
// that decodeObject and the YAML conversion make, which always encode.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("manifest: value that is no JSON: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// decodeObject is the opposite of encode, for an object.
func decodeObject(data []byte) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var object map[string]any
	if err := dec.Decode(&object); err != nil {
		return nil, err
	}
	if err := fixNumbers(object); err != nil {
		return nil, err
	}
	return object, nil
}

// fixNumbers replaces each json.Number below v by an int64 or float64.
func fixNumbers(v any) (err error) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if n, ok := e.(json.Number); ok {
				v[k], err = document.Number(string(n))
			} else {
				err = fixNumbers(e)
			}
			if err != nil {
				return err
			}
		}
	case []any:
		for i, e := range v {
			if n, ok := e.(json.Number); ok {
				v[i], err = document.Number(string(n))
			} else {
				err = fixNumbers(e)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// digest identifies what r wants.
func digest(r Result) string {
	h := sha256.New()
	for _, o := range r.Objects {
		h.Write([]byte(o.Ignore))
		h.Write([]byte{0})
		h.Write(o.JSON)
		h.Write([]byte{'\n'})
	}
	if !r.Complete {
		h.Write([]byte("partial"))
	}
	return hex.EncodeToString(h.Sum(nil))
}
