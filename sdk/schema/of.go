package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// maxDepth bounds how deep blocks nest. A struct that contains itself reaches
// it.
const maxDepth = 16

// Of infers the Schema of a configuration struct from its tags:
//
//	hcl:"name"           a required attribute
//	hcl:"name,optional"  an attribute that may be left out; so may pointers
//	                     and what has a default
//	hcl:"name,block"     a block: a struct stands exactly once, a pointer to a
//	                     struct at most once, a slice of structs any number of
//	                     times, a map any number of times with one label
//	hcl:"-"              no part of the configuration
//	doc:"..."            what it is for, for people
//	default:"..."        the value if left out; for lists and maps in JSON
//	format:"..."         duration, bytes, url, regexp or path
//	enum:"a,b"           the values that a string may have
//	deprecated:"..."     still works; says what to use instead
//
// Attributes are strings, booleans, numbers, time.Duration, secret.Secret,
// any, json.RawMessage, and slices, maps and structs of these. The error names
// each field that does not fit: it is a mistake of the programmer, to be found
// by the first test.
func Of[T any]() (*Schema, error) {
	t := reflect.TypeFor[T]()
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("a configuration is a struct, not %s", t)
	}
	return ofStruct(t, 0)
}

func ofStruct(t reflect.Type, depth int) (*Schema, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%s: blocks nest deeper than %d; does it contain itself?", t, maxDepth)
	}
	fields, err := fieldsOf(t)
	errs := []error{err}
	s := &Schema{}
	for _, f := range fields {
		if f.block {
			b, err := f.blockOf(depth)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: %s: %w", t, f.name, err))
				continue
			}
			s.Blocks = append(s.Blocks, b)
			continue
		}
		a, err := f.attribute()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", t, f.name, err))
			continue
		}
		s.Attributes = append(s.Attributes, a)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s, nil
}

// blockOf builds the Block of a field with the tag "block".
func (f field) blockOf(depth int) (Block, error) {
	b := Block{Name: f.name, Doc: f.tag.Get("doc")}
	body := f.typ
	switch {
	case f.typ.Kind() == reflect.Struct && f.pointer:
		b.Nesting, b.Max = Single, 1
	case f.typ.Kind() == reflect.Struct:
		b.Nesting, b.Min, b.Max = Single, 1, 1
	case f.typ.Kind() == reflect.Slice && !f.pointer:
		b.Nesting, body = List, f.typ.Elem()
	case f.typ.Kind() == reflect.Map && !f.pointer && f.typ.Key().Kind() == reflect.String:
		b.Nesting, b.Labels, body = Map, []string{"name"}, f.typ.Elem()
	default:
		return Block{}, fmt.Errorf("a block is a struct, a pointer to one, or a slice or map of them, not %s", f.typ)
	}
	if body.Kind() != reflect.Struct {
		return Block{}, fmt.Errorf("a block is made of structs, not of %s", body)
	}
	inner, err := ofStruct(body, depth+1)
	if err != nil {
		return Block{}, err
	}
	b.Body = *inner
	return b, nil
}

// defaultJSON turns the text of a default tag into the JSON form of a.
func (f field) defaultJSON(text string, a Attribute) (json.RawMessage, error) {
	if f.typ == secretType {
		return nil, errors.New("a secret has no default")
	}
	if a.Format == FormatBytes {
		n, err := ParseBytes(text)
		if err != nil {
			return nil, err
		}
		return json.Marshal(n)
	}
	switch a.Type.Kind {
	case String:
		if err := checkText(text, a); err != nil {
			return nil, err
		}
		return json.Marshal(text)
	case Bool:
		v, err := strconv.ParseBool(text)
		if err != nil {
			return nil, errors.New("is neither true nor false")
		}
		return json.Marshal(v)
	}
	probe := reflect.New(f.typ).Elem()
	v, err := parseJSON([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("is not JSON of a %s: %w", a.Type.Kind, err)
	}
	if l := assign(probe, v, nil); l.HasErrors() {
		return nil, l.Err()
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(text)); err != nil {
		return nil, err
	}
	return compact.Bytes(), nil
}

// checkText reports whether text is one of a's values and has a's format.
func checkText(text string, a Attribute) error {
	if len(a.Enum) > 0 && !slices.Contains(a.Enum, text) {
		return fmt.Errorf("is not one of %q", a.Enum)
	}
	var err error
	switch a.Format {
	case FormatDuration:
		_, err = time.ParseDuration(text)
	case FormatURL:
		_, err = url.Parse(text)
	case FormatRegexp:
		_, err = regexp.Compile(text)
	}
	return err
}
