package values_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/manifest/values"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

func TestParse(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"nothing":     {"", `{}`},
		"comments":    {"# none\n---\n", `{}`},
		"null":        {"null\n", `{}`},
		"YAML":        {"a: yes\nb: [1, 1.5, 0755]\nc: {d: ~}\n", `{"a":true,"b":[1,1.5,493],"c":{"d":null}}`},
		"JSON":        {`{"a": {"b": "x"}, "n": 12345678901234567}`, `{"a":{"b":"x"},"n":12345678901234567}`},
		"merge":       {"x: &x {a: 1, b: 2}\nz: {<<: *x, b: 3}\n", `{"x":{"a":1,"b":2},"z":{"a":1,"b":3}}`},
		"byte order":  {"\ufeffa: 1\n", `{"a":1}`},
		"multi-line":  {"a: |\n  one\n  two\n", `{"a":"one\ntwo\n"}`},
		"end of line": {"a: 1\r\nb: 2\r\n", `{"a":1,"b":2}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := values.Parse([]byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			if string(text) != tt.want {
				t.Errorf("got %s, want %s", text, tt.want)
			}
		})
	}
}

// What is wrong is told with its line, and without what stands there.
func TestErrorsTellPlacesAndNoValues(t *testing.T) {
	const secret = "hunter22"
	tests := map[string]struct {
		text string
		line int
	}{
		"text":         {secret, 1},
		"a list":       {"- " + secret, 1},
		"two":          {"a: 1\n---\nb: " + secret, 3},
		"syntax":       {"a: 1\nb: [" + secret + "\nc: 1\n", 2},
		"tag":          {"a: 1\nb: !!int " + secret, 2},
		"binary":       {"b: !!binary " + secret, 1},
		"twice":        {"a: " + secret + "\na: 2\n", 2},
		"alias":        {"a: &a [*a, " + secret + "]\n", 1},
		"Latin-1":      {"a: 1\nb: \xe9" + secret, 2},
		"JSON":         {"{\"a\": \"" + secret + "\"\n \"b\"}", 2},
		"large number": {`{"a": 1e999}`, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := values.Parse([]byte(tt.text))
			bad, ok := errors.AsType[*values.Error](err)
			if !ok || bad.Line != tt.line {
				t.Fatalf("got %#v, want an error in line %d", err, tt.line)
			}
			if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "1e999") {
				t.Errorf("the error quotes the value: %v", err)
			}
		})
	}
}

func TestAliasesAreBounded(t *testing.T) {
	text := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for i := range 9 {
		a, b := string(rune('a'+i)), string(rune('b'+i))
		text += b + ": &" + b + " [" + strings.TrimSuffix(strings.Repeat("*"+a+", ", 10), ", ") + "]\n"
	}
	if _, err := values.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), "aliases") {
		t.Errorf("got %v", err)
	}
}

func TestPlace(t *testing.T) {
	const text = "# about\nx: &x\n  deep: {er: 1}\ny:\n  <<: *x\n  list:\n  - one\n  - two: 2\n3: z\n"
	tests := map[string]struct {
		path diag.Path
		want diag.Pos // zero: not there
	}{
		"key":        {diag.Attr("x"), diag.Pos{Line: 2, Column: 1}},
		"below":      {diag.Attr("x", "deep", "er"), diag.Pos{Line: 3, Column: 10}},
		"merged":     {diag.Attr("y", "deep"), diag.Pos{Line: 3, Column: 3}},
		"element":    {diag.Attr("y", "list", 1, "two"), diag.Pos{Line: 8, Column: 5}},
		"number":     {diag.Attr(3), diag.Pos{Line: 9, Column: 1}},
		"not there":  {diag.Attr("x", "other"), diag.Pos{}},
		"in text":    {diag.Attr("3", "a"), diag.Pos{}},
		"past a end": {diag.Attr("y", "list", 2), diag.Pos{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok := values.Place([]byte(text), tt.path)
			if diff := cmp.Diff(tt.want, got); diff != "" || ok != (tt.want != diag.Pos{}) {
				t.Errorf("%v %s", ok, diff)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"", "a: 1", "a: &a [*a]", "a: {<<: [*b]}", `{"a":[1,"x"]}`, "? [a]\n: b", "\xff\xfea\x00", "a: 1\n---\nb: 2\n", "<<: {a: 1}\n"} {
		f.Add([]byte(text), "a")
	}
	f.Fuzz(func(t *testing.T, data []byte, key string) {
		m, err := values.Parse(data)
		if err != nil {
			if e, ok := errors.AsType[*values.Error](err); !ok || e.Line < 1 {
				t.Fatalf("%#v", err)
			}
			return
		}
		if _, err := json.Marshal(m); err != nil {
			t.Fatal(err)
		}
		values.Place(data, diag.Attr(key, 0, key)) // ends, and does not panic
	})
}
