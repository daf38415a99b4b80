package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/sdk/secret"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	secretType   = reflect.TypeFor[secret.Secret]()
	rawType      = reflect.TypeFor[json.RawMessage]()

	validName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	formats   = []Format{FormatDuration, FormatBytes, FormatURL, FormatRegexp, FormatPath}
)

// field is one tagged field of a configuration struct.
type field struct {
	name     string
	index    int
	typ      reflect.Type // without the pointer
	pointer  bool
	optional bool
	block    bool
	tag      reflect.StructTag
}

// fieldsOf reads the tags of t, a struct. It reports every mistake, not only
// the first.
func fieldsOf(t reflect.Type) ([]field, error) {
	var (
		fields []field
		errs   []error
		seen   = map[string]string{}
	)
	for i := range t.NumField() {
		sf := t.Field(i)
		f, ok, err := fieldOf(sf)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s.%s: %w", t, sf.Name, err))
			continue
		}
		if !ok {
			continue
		}
		if other, dup := seen[f.name]; dup {
			errs = append(errs, fmt.Errorf("%s.%s: the name %q is already taken by the field %s", t, sf.Name, f.name, other))
			continue
		}
		seen[f.name] = sf.Name
		f.index = i
		fields = append(fields, f)
	}
	return fields, errors.Join(errs...)
}

// fieldOf reads one field. ok is false if the field takes no part.
func fieldOf(sf reflect.StructField) (f field, ok bool, err error) {
	tag, tagged := sf.Tag.Lookup("hcl")
	switch {
	case tag == "-":
		return field{}, false, nil
	case sf.Anonymous && tagged:
		return field{}, false, errors.New("an embedded field takes no hcl tag; give it a name")
	case sf.Anonymous:
		return field{}, false, errors.New("embedding is not supported; repeat the fields, so that they stand where a reader looks for them")
	case !tagged && !sf.IsExported():
		return field{}, false, nil
	case !tagged:
		return field{}, false, fmt.Errorf(`has no hcl tag; add hcl:"%s" or hcl:"-"`, strings.ToLower(sf.Name))
	case !sf.IsExported():
		return field{}, false, errors.New("has an hcl tag but is not exported, so that it cannot be set")
	}
	name, mode, _ := strings.Cut(tag, ",")
	if !validName.MatchString(name) {
		return field{}, false, fmt.Errorf("%q is not a name; use lower case letters, digits and underscores", name)
	}
	f = field{name: name, typ: sf.Type, tag: sf.Tag}
	switch mode {
	case "":
	case "optional":
		f.optional = true
	case "block":
		f.block = true
	default:
		return field{}, false, fmt.Errorf(`%q in the hcl tag is neither "optional" nor "block"`, mode)
	}
	if f.typ.Kind() == reflect.Pointer {
		f.typ, f.pointer, f.optional = f.typ.Elem(), true, true
	}
	return f, true, nil
}

// isBytes reports whether the field is a number of bytes that a user writes
// with a unit.
func (f field) isBytes() bool { return Format(f.tag.Get("format")) == FormatBytes }

// attribute builds the Attribute of a field that is not a block.
func (f field) attribute() (Attribute, error) {
	typ, err := f.attributeType()
	if err != nil {
		return Attribute{}, err
	}
	a := Attribute{
		Name:       f.name,
		Type:       typ,
		Doc:        f.tag.Get("doc"),
		Sensitive:  holdsSecret(f.typ),
		Deprecated: f.tag.Get("deprecated"),
	}
	if a.Format, err = f.format(); err != nil {
		return Attribute{}, err
	}
	if enum := f.tag.Get("enum"); enum != "" {
		if f.typ.Kind() != reflect.String {
			return Attribute{}, fmt.Errorf("an enum tag needs a string, not %s", f.typ)
		}
		a.Enum = splitTrim(enum)
	}
	text, hasDefault := f.tag.Lookup("default")
	if hasDefault {
		if a.Default, err = f.defaultJSON(text, a); err != nil {
			return Attribute{}, fmt.Errorf("default %q: %w", text, err)
		}
	}
	a.Required = !f.optional && !hasDefault
	return a, nil
}

func (f field) attributeType() (Type, error) {
	if f.isBytes() {
		switch f.typ.Kind() {
		case reflect.Int64, reflect.Uint64, reflect.Int:
			return Type{Kind: String}, nil
		}
		return Type{}, fmt.Errorf(`format:"bytes" needs an int64, not %s`, f.typ)
	}
	return typeOf(f.typ)
}

func (f field) format() (Format, error) {
	format := Format(f.tag.Get("format"))
	if f.typ == durationType {
		if format != FormatNone && format != FormatDuration {
			return "", fmt.Errorf("format %q does not fit a time.Duration", format)
		}
		return FormatDuration, nil
	}
	switch {
	case format == FormatNone, format == FormatBytes:
		return format, nil
	case !slices.Contains(formats, format):
		return "", fmt.Errorf("unknown format %q; known are %v", format, formats)
	case f.typ.Kind() != reflect.String && f.typ != secretType:
		return "", fmt.Errorf("format %q needs a string, not %s", format, f.typ)
	}
	return format, nil
}

// typeOf maps a Go type to a Type.
func typeOf(t reflect.Type) (Type, error) {
	switch t {
	case durationType, secretType:
		return Type{Kind: String}, nil
	case rawType:
		return Type{Kind: Any}, nil
	}
	switch t.Kind() {
	case reflect.String:
		return Type{Kind: String}, nil
	case reflect.Bool:
		return Type{Kind: Bool}, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64:
		return Type{Kind: Number}, nil
	case reflect.Interface:
		if t.NumMethod() == 0 {
			return Type{Kind: Any}, nil
		}
	case reflect.Slice:
		return containerOf(ListOf, t.Elem())
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			return Type{}, fmt.Errorf("the keys of %s must be strings", t)
		}
		return containerOf(MapOf, t.Elem())
	case reflect.Struct:
		return objectOf(t)
	}
	return Type{}, fmt.Errorf("the type %s is not supported", t)
}

func containerOf(kind Kind, elem reflect.Type) (Type, error) {
	e, err := typeOf(elem)
	if err != nil {
		return Type{}, err
	}
	return Type{Kind: kind, Elem: &e}, nil
}

func objectOf(t reflect.Type) (Type, error) {
	fields, err := fieldsOf(t)
	if err != nil {
		return Type{}, err
	}
	typ := Type{Kind: Object}
	for _, f := range fields {
		if f.block {
			return Type{}, fmt.Errorf("%s: %q is a block inside a value; make the outer one a block, too", t, f.name)
		}
		a, err := f.attribute()
		if err != nil {
			return Type{}, fmt.Errorf("%s: %s: %w", t, f.name, err)
		}
		typ.Fields = append(typ.Fields, Field{Name: f.name, Type: a.Type, Optional: !a.Required})
	}
	return typ, nil
}

// holdsSecret reports whether a value of type t can hold a secret.
func holdsSecret(t reflect.Type) bool {
	switch {
	case t == secretType:
		return true
	case t.Kind() == reflect.Slice, t.Kind() == reflect.Map, t.Kind() == reflect.Pointer:
		return holdsSecret(t.Elem())
	case t.Kind() == reflect.Struct:
		for i := range t.NumField() {
			if holdsSecret(t.Field(i).Type) {
				return true
			}
		}
	}
	return false
}

func splitTrim(s string) []string {
	parts := strings.Split(s, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}
