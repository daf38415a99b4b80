package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Validator is implemented by configuration structs (on the pointer) that
// check what a schema cannot say, for example that one of two attributes is
// set. Decode calls it for the outermost struct only.
type Validator interface {
	Validate() diag.List
}

// Decode reads config, the JSON form of a configuration, into dst, a pointer
// to the struct whose schema it follows. It fills in defaults, so that a
// partial configuration is enough, and calls Validate if dst has it. The list
// holds every mistake, each at its path, and possibly warnings; no message
// holds a value of the configuration.
func Decode(config json.RawMessage, dst any) diag.List {
	v := reflect.ValueOf(dst)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("schema.Decode: dst is %T, not a pointer to a struct", dst))
	}
	if len(bytes.TrimSpace(config)) == 0 {
		config = json.RawMessage("{}")
	}
	in, err := parseJSON(config)
	if err != nil {
		return diag.List{diag.Errorf(nil, "the configuration is not JSON")}
	}
	problems := assignStruct(v.Elem(), in, nil)
	if problems.HasErrors() {
		return problems
	}
	if c, ok := dst.(Validator); ok {
		problems = append(problems, c.Validate()...)
	}
	return problems
}

// parseJSON reads exactly one value and keeps numbers as they are written.
func parseJSON(text []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	return v, nil
}

func assignStruct(v reflect.Value, in any, path diag.Path) diag.List {
	object, ok := in.(map[string]any)
	if !ok {
		return wrong(path, "an object is required")
	}
	fields, err := fieldsOf(v.Type())
	if err != nil {
		return wrong(path, "the plugin's configuration is declared wrongly: %v", err)
	}
	var problems diag.List
	known := map[string]bool{}
	for _, f := range fields {
		known[f.name] = true
		at := join(path, diag.Step{Name: f.name})
		value, present := object[f.name]
		if present && value != nil {
			problems = append(problems, f.assign(v.Field(f.index), value, at)...)
			continue
		}
		problems = append(problems, f.absent(v.Field(f.index), at)...)
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if !known[name] {
			problems = append(problems, wrong(join(path, diag.Step{Name: name}), "there is no argument or block of this name")...)
		}
	}
	return problems
}

// assign sets the field from a value that is not null.
func (f field) assign(v reflect.Value, in any, path diag.Path) diag.List {
	if f.pointer {
		v.Set(reflect.New(f.typ))
		v = v.Elem()
	}
	if text, ok := in.(string); ok && f.isBytes() {
		n, err := ParseBytes(text)
		if err != nil {
			return wrong(path, "%v", err)
		}
		in = json.Number(strconv.FormatInt(n, 10))
	}
	problems := assign(v, in, path)
	enum := f.tag.Get("enum")
	if len(problems) > 0 || enum == "" {
		return problems
	}
	if allowed := splitTrim(enum); v.Kind() == reflect.String && !slices.Contains(allowed, v.String()) {
		return wrong(path, "must be one of %s", strings.Join(allowed, ", "))
	}
	return nil
}

// absent sets the field's default, or reports that the field is missing.
func (f field) absent(v reflect.Value, path diag.Path) diag.List {
	if f.block {
		if f.typ.Kind() == reflect.Struct && !f.pointer {
			return wrong(path, "the block is missing")
		}
		return nil
	}
	a, err := f.attribute()
	switch {
	case err != nil:
		return wrong(path, "the plugin's configuration is declared wrongly: %v", err)
	case a.Default != nil:
		in, err := parseJSON(a.Default)
		if err != nil {
			return wrong(path, "the default is not JSON: %v", err)
		}
		return f.assign(v, in, path)
	case a.Required:
		return wrong(path, "the argument is missing")
	}
	return nil
}

// assign sets v from a JSON value. Slices and maps are made anew, so that no
// two configurations share memory.
func assign(v reflect.Value, in any, path diag.Path) diag.List {
	switch v.Type() {
	case durationType:
		return assignDuration(v, in, path)
	case secretType:
		text, ok := in.(string)
		if !ok {
			return wrong(path, "a string is required")
		}
		v.Set(reflect.ValueOf(secret.New(text)))
		return nil
	case rawType:
		raw, err := json.Marshal(in)
		if err != nil {
			return wrong(path, "%v", err)
		}
		v.SetBytes(raw)
		return nil
	}
	switch v.Kind() {
	case reflect.Struct:
		return assignStruct(v, in, path)
	case reflect.Slice:
		return assignSlice(v, in, path)
	case reflect.Map:
		return assignMap(v, in, path)
	case reflect.Interface:
		if in != nil {
			v.Set(reflect.ValueOf(in))
		}
		return nil
	}
	return assignScalar(v, in, path)
}

func assignDuration(v reflect.Value, in any, path diag.Path) diag.List {
	text, ok := in.(string)
	if !ok {
		return wrong(path, `a duration is required, like "90s"`)
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return wrong(path, `a duration is required, like "90s"`)
	}
	v.SetInt(int64(d))
	return nil
}

func assignSlice(v reflect.Value, in any, path diag.Path) diag.List {
	list, ok := in.([]any)
	if !ok {
		return wrong(path, "a list is required")
	}
	var problems diag.List
	v.Set(reflect.MakeSlice(v.Type(), len(list), len(list)))
	for i, elem := range list {
		problems = append(problems, assign(v.Index(i), elem, join(path, diag.Step{Index: i}))...)
	}
	return problems
}

func assignMap(v reflect.Value, in any, path diag.Path) diag.List {
	object, ok := in.(map[string]any)
	if !ok {
		return wrong(path, "a map is required")
	}
	var problems diag.List
	v.Set(reflect.MakeMapWithSize(v.Type(), len(object)))
	for _, key := range slices.Sorted(maps.Keys(object)) {
		elem := reflect.New(v.Type().Elem()).Elem()
		problems = append(problems, assign(elem, object[key], join(path, diag.Step{Name: key}))...)
		v.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), elem)
	}
	return problems
}

func assignScalar(v reflect.Value, in any, path diag.Path) diag.List {
	switch v.Kind() {
	case reflect.String:
		text, ok := in.(string)
		if !ok {
			return wrong(path, "a string is required")
		}
		v.SetString(text)
		return nil
	case reflect.Bool:
		b, ok := in.(bool)
		if !ok {
			return wrong(path, "true or false is required")
		}
		v.SetBool(b)
		return nil
	}
	number, ok := in.(json.Number)
	if !ok {
		return wrong(path, "a number is required")
	}
	if !setNumber(v, number.String()) {
		return wrong(path, "the number does not fit; %s is required", numberWords(v.Kind()))
	}
	return nil
}

// setNumber sets v to the number, and reports whether it fits exactly. JSON
// encoders may write whole numbers as 1e3 or 5.0.
func setNumber(v reflect.Value, text string) bool {
	switch {
	case v.CanFloat():
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || v.OverflowFloat(n) {
			return false
		}
		v.SetFloat(n)
		return true
	case v.CanInt():
		n, err := strconv.ParseInt(whole(text), 10, 64)
		if err != nil || v.OverflowInt(n) {
			return false
		}
		v.SetInt(n)
		return true
	case v.CanUint():
		n, err := strconv.ParseUint(whole(text), 10, 64)
		if err != nil || v.OverflowUint(n) {
			return false
		}
		v.SetUint(n)
		return true
	}
	return false
}

// whole rewrites a whole number without fraction and exponent, if it has one
// and is exact in a float64; other text is returned as it is.
func whole(text string) string {
	if !strings.ContainsAny(text, ".eE") {
		return text
	}
	const exact = 1 << 53
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != float64(int64(f)) || f > exact || f < -exact {
		return text
	}
	return strconv.FormatInt(int64(f), 10)
}

func numberWords(k reflect.Kind) string {
	switch k {
	case reflect.Float32, reflect.Float64:
		return "a smaller number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number that is not negative"
	}
	return "a whole number"
}

func wrong(path diag.Path, format string, args ...any) diag.List {
	return diag.List{diag.Errorf(path, format, args...)}
}

// join appends to a copy, since sibling paths share their beginning.
func join(path diag.Path, step diag.Step) diag.Path {
	return append(slices.Clone(path), step)
}
