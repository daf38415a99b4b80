package config

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/schema"
)

var valuesFromSchema = schema.Schema{Attributes: []schema.Attribute{
	{Name: "config_map"}, {Name: "secret"}, {Name: "key"}, {Name: "namespace"}, {Name: "chart_file"}, {Name: "source"}, {Name: "path"},
	{Name: "url"}, {Name: "sha256"}, {Name: "optional"},
}}

// defaultValuesKey is the entry of a ConfigMap or Secret that holds values.
const defaultValuesKey = "values.yaml"

// ReleaseValues are the values of a release.
type ReleaseValues struct {
	// JSON is an object; nil if there are no values. It may hold secrets:
	// marshal the ReleaseValues itself to show it. Equal values have equal
	// bytes.
	JSON json.RawMessage

	// Secrets holds the sensitive strings in JSON, for scrubbing.
	Secrets []string

	display json.RawMessage
	root    *place
}

// MarshalJSON shows the values to people, with secrets redacted.
func (v ReleaseValues) MarshalJSON() ([]byte, error) {
	if v.display == nil {
		return []byte("null"), nil
	}
	return v.display, nil
}

// String keeps %v from printing secrets.
func (v ReleaseValues) String() string { return string(v.display) }

// GoString keeps %#v from printing secrets.
func (v ReleaseValues) GoString() string { return "config.ReleaseValues(" + v.String() + ")" }

// Locate returns the place of the deepest part of path that is spelled out in
// the file. What an expression computes is at the expression. A zero Range
// says that there are no values.
func (v ReleaseValues) Locate(path diag.Path) diag.Range {
	if v.root == nil {
		return diag.Range{}
	}
	return v.root.find(path)
}

// ValuesFrom is one values_from block. Exactly one of ConfigMap, Secret,
// ChartFile, Source and URL is set.
type ValuesFrom struct {
	ConfigMap, Secret *ObjectKey
	ChartFile         string // slash-separated, relative to the chart's directory, clean
	Source, Path      string // a source's address, and a file in its tree
	URL               string // https:// or http://
	SHA256            string // of what URL has, in lower case hexadecimal; "": not checked
	Optional          bool   // what is missing is no error
	Range             diag.Range
}

// ValuesFiles returns the files of values that are in a source's tree, weakest
// first, and the source. Of several sources it is the one whose values are
// strongest. Without any it is that of the block itself, if it has values and a
// known origin, or "".
func (r Release) ValuesFiles() (source string, paths []string) {
	for _, from := range slices.Backward(r.From) {
		if source == "" {
			source = from.Source
		}
		if from.Source != "" && from.Source == source && !slices.Contains(paths, from.Path) {
			paths = append(paths, from.Path)
		}
	}
	if source == "" && r.Values.JSON != nil {
		return r.Origin.Source, nil
	}
	slices.Reverse(paths)
	return source, paths
}

// ObjectKey is one entry of an object in the release's cluster.
type ObjectKey struct{ Namespace, Name, Key string }

// releaseValues returns an object, with the places of what is spelled out.
func (a *arguments) releaseValues(name string) ReleaseValues {
	attr := a.attrs[name]
	if attr == nil {
		return ReleaseValues{}
	}
	v, ok := a.l.eval(attr.Expr, a.sc)
	if !ok || v.IsNull() {
		return ReleaseValues{}
	}
	at := exprPlace(attr.Expr)
	if typ := v.Type(); !typ.IsObjectType() && !typ.IsMapType() {
		hint := ""
		if typ.Equals(cty.String) {
			hint = " Values in YAML become one with yamldecode(...)."
		}
		a.l.errorf(at.rng, "Wrong type of value", "%q takes an object, not %s.%s", name, typeOf(v), hint)
		return ReleaseValues{}
	}
	d := &bodyDecoder{l: a.l, sc: a.sc, secrets: map[string]struct{}{}, ok: true}
	e := encoder{d: d, attr: &schema.Attribute{Name: name}}
	real, shown := e.encode(v, schema.Type{Kind: schema.Any}, spot{at, name}, false)
	if !d.ok {
		return ReleaseValues{root: at}
	}
	return ReleaseValues{JSON: d.marshal(real, at.rng), Secrets: d.allSecrets(), display: d.marshal(shown, at.rng), root: at}
}

// valuesFrom returns the values_from blocks of a release in a namespace.
func (a *arguments) valuesFrom(namespace string) []ValuesFrom {
	var list []ValuesFrom
	for _, b := range a.all("values_from", valuesFromSchema) {
		list = append(list, b.valuesSource(namespace))
	}
	return list
}

func (a *arguments) valuesSource(namespace string) ValuesFrom {
	from := ValuesFrom{Optional: a.bool("optional", false), Range: toRange(a.header)}
	chosen := a.choice("where the values are", "config_map", "secret", "chart_file", "source", "url")
	switch chosen {
	case "config_map":
		from.ConfigMap = a.objectKey(chosen, namespace)
	case "secret":
		from.Secret = a.objectKey(chosen, namespace)
	case "chart_file":
		from.ChartFile, _ = a.l.within(element{text: a.string(chosen, ""), at: a.at(chosen)}, "chart")
	case "source":
		from.Source, from.Path = a.reference(chosen, kindSource), a.valuesPath("path")
	case "url":
		from.URL = a.url(chosen, "Keep such values in a Secret, and write secret = \"NAME\".", "https", "http")
		from.SHA256 = a.checksum("sha256")
	case "":
		return from
	}
	if chosen != "config_map" && chosen != "secret" {
		a.stray("config_map or secret", "key", "namespace")
	}
	if chosen != "source" {
		a.stray("source", "path")
	}
	if chosen != "url" {
		a.stray("url", "sha256")
	}
	return from
}

// valuesPath returns the path of a file in a source's tree.
func (a *arguments) valuesPath(name string) string {
	if a.absent(name) {
		a.l.errorf(a.header, "Missing argument", "The argument %q says which file of the source holds the values.", name)
		return ""
	}
	path, ok := a.l.within(element{text: a.string(name, ""), at: a.at(name)}, "source")
	if ok && path == "." {
		a.l.errorf(a.at(name), "Wrong path", "The path is that of a file, such as \"values/prod.yaml\".")
	}
	return path
}

var (
	objectName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)
	objectKey  = regexp.MustCompile(`^[-._a-zA-Z0-9]{1,253}$`)
)

// objectKey returns an entry of the ConfigMap or Secret that the argument
// name names.
func (a *arguments) objectKey(name, namespace string) *ObjectKey {
	o := &ObjectKey{
		Namespace: a.namespace("namespace", namespace),
		Name:      a.string(name, ""),
		Key:       a.string("key", defaultValuesKey),
	}
	if _, at, ok := a.value(name, cty.String); ok && !objectName.MatchString(o.Name) {
		a.l.errorf(at, "Wrong name", "%q can be no name of an object: it holds lower-case letters, digits, - and ., with a letter or digit at both ends.", o.Name)
	}
	if !objectKey.MatchString(o.Key) {
		a.l.errorf(a.at("key"), "Wrong key", "%q can be no key of an object: it holds letters, digits, -, _ and .", o.Key)
	}
	return o
}

var sha256Sum = regexp.MustCompile(`^[0-9a-f]{64}$`)

// checksum returns a SHA-256 in hexadecimal.
func (a *arguments) checksum(name string) string {
	s := strings.ToLower(strings.TrimPrefix(a.string(name, ""), "sha256:"))
	if s != "" && !sha256Sum.MatchString(s) {
		a.l.errorf(a.at(name), "Wrong checksum", "%q takes the 64 hexadecimal digits that sha256sum prints.", name)
		return ""
	}
	return s
}
