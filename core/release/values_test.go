package release

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/manifest/values"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// places is a host whose ConfigMaps, Secrets and files are in a map: by
// "config demo/name#key", "secret demo/name#key", "chart/path" and
// "source.git.x/path".
type places map[string]string

func (p places) reading(t *testing.T, s *Spec) *reading {
	t.Helper()
	dir := t.TempDir()
	for name, text := range p {
		if strings.Contains(name, "#") {
			continue
		}
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	get := func(kind, namespace, name, key string) (string, error) {
		if text, ok := p[fmt.Sprintf("%s %s/%s#%s", kind, namespace, name, key)]; ok {
			return text, nil
		}
		return "", fmt.Errorf("%s: %w", name, ErrNoValues)
	}
	h := &Host{
		Config: func(_ context.Context, namespace, name, key string) (string, error) {
			return get("config", namespace, name, key)
		},
		Secret: func(_ context.Context, namespace, name, key string) (secret.Secret, error) {
			text, err := get("secret", namespace, name, key)
			return secret.New(text), err
		},
	}
	return &reading{
		s: s, h: h, fetch: newFetcher(time.Now),
		chart: func(context.Context) (string, error) { return filepath.Join(dir, "chart"), nil },
		trees: func(_ context.Context, source string) (Tree, error) {
			return Tree{Dir: filepath.Join(dir, source)}, nil
		},
	}
}

func (p places) compose(t *testing.T, s Spec) (*composed, error) {
	t.Helper()
	return p.reading(t, &s).compose(t.Context())
}

func TestLaterPlacesWin(t *testing.T) {
	p := places{
		"config demo/base#values.yaml":  "a: 1\nmap: {x: 1, w: {z: 1}}\nlist: [1, 2]\nkeep: base\ngone: {deep: 1}\n",
		"secret demo/creds#prod.yaml":   "password: hunter22\nmap: {w: {secret: s}}\nlist: [3]\n",
		"chart/values-prod.yaml":        "a: 2\nmap: {x: 2}\nscalar: {was: map}\n",
		"source.git.x/values/eu.yaml":   "a: 3\nscalar: 5\ngone: null\n",
		"config demo/json#values.yaml":  `{"json": {"n": 12345678901234567, "f": 1.5}}`,
		"config demo/empty#values.yaml": "# nothing\n",
	}
	c, err := p.compose(t, Spec{
		From: []ValuesFrom{
			{ConfigMap: &ObjectKey{Namespace: "demo", Name: "base"}},
			{Secret: &ObjectKey{Namespace: "demo", Name: "creds", Key: "prod.yaml"}},
			{ChartFile: "values-prod.yaml"},
			{Source: "source.git.x", Path: "values/eu.yaml"},
			{ConfigMap: &ObjectKey{Namespace: "demo", Name: "json"}},
			{ConfigMap: &ObjectKey{Namespace: "demo", Name: "empty"}},
			{ConfigMap: &ObjectKey{Namespace: "demo", Name: "none"}, Optional: true},
		},
		Values: secret.New(`{"a": 4, "map": {"new": true}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"a":4,"gone":null,"json":{"f":1.5,"n":12345678901234567},"keep":"base","list":[3],` +
		`"map":{"new":true,"w":{"secret":"s","z":1},"x":2},"password":"hunter22","scalar":5}`
	if diff := cmp.Diff(want, string(c.json)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"/list", "/map/w/secret", "/password"}, c.secrets()); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(fmt.Sprintf("%v %+v", c.secret(), c.secret()), "hunter22") {
		t.Error("the values are printed")
	}
}

// Equal values have equal digests, whichever way they came about.
func TestCompositionIsStable(t *testing.T) {
	a, err := places{}.compose(t, Spec{Values: secret.New(`{"b": {"y": 1, "x": 2.0}, "a": 1}`)})
	if err != nil {
		t.Fatal(err)
	}
	b, err := places{"config demo/x#values.yaml": "a: 1\nb:\n  x: 2\n"}.compose(t, Spec{
		From: []ValuesFrom{{ConfigMap: &ObjectKey{Namespace: "demo", Name: "x"}}}, Values: secret.New(`{"b": {"y": 1}}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if string(a.json) != string(b.json) {
		t.Errorf("%s and %s", a.json, b.json)
	}
}

func TestWhatOptionalForgives(t *testing.T) {
	p := places{
		"config demo/bad#values.yaml": "a: [hunter22\n",
		"config demo/big#values.yaml": strings.Repeat("a", partMax+1),
		"chart/values.yaml":           "a: 1\n",
		"chart/list.yaml":             "- hunter22\n",
		"secret demo/bad#values.yaml": "a: 1\nb: !!int hunter22\n",
		"source.git.x/bad.yaml":       "a: 1\nb: [hunter22\n",
		"outside.yaml":                "stolen: true\n",
	}
	config := func(name, key string) ValuesFrom {
		return ValuesFrom{ConfigMap: &ObjectKey{Namespace: "demo", Name: name, Key: key}}
	}
	tests := map[string]struct {
		from     ValuesFrom
		want     string // error, in part
		optional string // what it is then, where the place is lenient
	}{
		"no object":      {config("none", ""), "main.hcl:3: key values.yaml of ConfigMap demo/none: none: does not exist: If the release can do without it, say that it is optional.", "is nothing"},
		"no key":         {config("bad", "other"), "main.hcl:3: key other of ConfigMap demo/bad: ", "is nothing"},
		"not YAML":       {config("bad", ""), "main.hcl:3: key values.yaml of ConfigMap demo/bad, line 2: syntax error: ", "is a warning"},
		"secret":         {ValuesFrom{Secret: &ObjectKey{Namespace: "demo", Name: "bad"}}, "main.hcl:3: key values.yaml of Secret demo/bad, line 2: the value is not what its tag says", "is a warning"},
		"no file":        {ValuesFrom{ChartFile: "prod.yaml"}, "main.hcl:3: file prod.yaml of the chart: does not exist: If the release can do without it, say that it is optional.", "is nothing"},
		"a list":         {ValuesFrom{ChartFile: "list.yaml"}, "list.yaml:1:1: file list.yaml of the chart: values are a mapping", "is a warning"},
		"file of a tree": {ValuesFrom{Source: "source.git.x", Path: "bad.yaml"}, "bad.yaml:2: file bad.yaml of source.git.x: syntax error: ", "is a warning"},
		"too large":      {config("big", ""), "main.hcl:3: key values.yaml of ConfigMap demo/big: more than 8 MiB", "is an error"},
		"outside":        {ValuesFrom{ChartFile: "../outside.yaml"}, "main.hcl:3: file ../outside.yaml of the chart: path escapes from parent", "is an error"},
		"absolute":       {ValuesFrom{Source: "source.git.x", Path: "/etc/passwd"}, "main.hcl:3: file /etc/passwd of source.git.x: path escapes from parent", "is an error"},
		"a directory":    {ValuesFrom{ChartFile: "."}, "main.hcl:3: file . of the chart: is no regular file", "is an error"},
		"not a URL":      {ValuesFrom{URL: "ftp://example.com/x"}, "main.hcl:3: ftp://example.com/x: the URL begins with neither https:// nor http://", "is an error"},
		"password":       {ValuesFrom{URL: "https://me:hunter22@example.com/x?token=hunter22"}, "main.hcl:3: https://example.com/x: the URL has credentials in it", "is an error"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.from.Place = "main.hcl:3"
			_, err := p.compose(t, Spec{From: []ValuesFrom{tt.from}})
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter22") {
				t.Errorf("the error quotes a value: %v", err)
			}
			if _, ok := diag.From(err); !ok {
				t.Error("no diagnostic")
			}
			tt.from.Optional = true
			if _, err := p.compose(t, Spec{From: []ValuesFrom{tt.from}}); (err == nil) != (tt.optional == "is nothing") {
				t.Errorf("optional: %v", err)
			}
			tt.from.Lenient = true
			var warnings []string
			r := p.reading(t, &Spec{From: []ValuesFrom{tt.from}})
			r.warn = func(text string) { warnings = append(warnings, text) }
			c, err := r.compose(t.Context())
			if (err == nil) != (tt.optional != "is an error") || (len(warnings) == 1) != (tt.optional == "is a warning") || err == nil && string(c.json) != "{}" {
				t.Errorf("optional and lenient: %v, warnings %q", err, warnings)
			}
			if strings.Contains(strings.Join(warnings, ""), "hunter22") {
				t.Errorf("a warning quotes a value: %q", warnings)
			}
		})
	}
}

// A link of a chart or a tree leads nowhere outside.
func TestLinksStayInside(t *testing.T) {
	dir := t.TempDir()
	chart := filepath.Join(dir, "chart")
	for _, err := range []error{
		os.Mkdir(chart, 0o700),
		os.WriteFile(filepath.Join(dir, "secret.yaml"), []byte("stolen: true\n"), 0o600),
		os.WriteFile(filepath.Join(chart, "real.yaml"), []byte("a: 1\n"), 0o600),
		os.Symlink("../secret.yaml", filepath.Join(chart, "out.yaml")),
		os.Symlink("real.yaml", filepath.Join(chart, "in.yaml")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if data, err := readBelow(chart, "out.yaml"); err == nil {
		t.Errorf("read %s", data)
	}
	if _, err := readBelow(chart, "in.yaml"); err != nil {
		t.Error(err)
	}
}

func TestLargeValues(t *testing.T) {
	lines := strings.Builder{} // 5 MB, in the form of YAML that is read fastest
	for i := range 5_000 {
		fmt.Fprintf(&lines, "a%d: |\n  %s\n", i, strings.Repeat("x", 950))
	}
	p := places{"config demo/a#values.yaml": lines.String()}
	from := []ValuesFrom{{ConfigMap: &ObjectKey{Namespace: "demo", Name: "a"}}}
	c, err := p.compose(t, Spec{From: from, Values: secret.New(`{"a7": "mine"}`)})
	if err != nil || len(c.merged) != 5_000 || c.merged["a7"] != "mine" {
		t.Errorf("%d values, %v", len(c.merged), err)
	}
	for _, name := range []string{"b", "c", "d"} { // 6 MB each
		c.add(part{values: map[string]any{name: strings.Repeat("x", 6<<20)}})
	}
	if err := c.write(); err == nil || err.Error() != "the values have 22 MiB as JSON, more than 15 MiB" {
		t.Error(err)
	}
}

func TestPlacesOfValues(t *testing.T) {
	p := places{
		"config demo/base#values.yaml": "image:\n  tag: 5\n  name: x\nreplicas: two\n",
		"source.git.x/values/eu.yaml":  "# europe\nimage:\n  pull: sometimes\nports:\n- 80\n- many\n",
		"chart/values-prod.yaml":       "a:\n  b: 1\n",
	}
	c, err := p.compose(t, Spec{
		From: []ValuesFrom{
			{ConfigMap: &ObjectKey{Namespace: "demo", Name: "base"}},
			{Source: "source.git.x", Path: "values/eu.yaml"},
			{ChartFile: "values-prod.yaml"},
		},
		Values: secret.New(`{"image": {"tag": false}, "inline": {"x": 1}}`),
		Locate: func(p diag.Path) *diag.Range {
			return &diag.Range{File: "main.hcl", Start: diag.Pos{Line: 10 * len(p)}}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		path diag.Path
		want string
	}{
		"inline":              {diag.Attr("values", "image", "tag"), "main.hcl:20: values.image.tag: wrong (values.schema.json of the chart)"},
		"inline, missing":     {diag.Attr("values", "inline", "y", "z"), "main.hcl:10: values.inline.y.z: wrong (values.schema.json of the chart)"},
		"file of a tree":      {diag.Attr("values", "image", "pull"), "values/eu.yaml:3:3: values.image.pull: wrong (values.schema.json of the chart): Set by file values/eu.yaml of source.git.x."},
		"element":             {diag.Attr("values", "ports", 1), "values/eu.yaml:6:3: values.ports[1]: wrong (values.schema.json of the chart): Set by file values/eu.yaml of source.git.x."},
		"file of the chart":   {diag.Attr("values", "a", "b"), "values-prod.yaml:2:3: values.a.b: wrong (values.schema.json of the chart): Set by file values-prod.yaml of the chart."},
		"ConfigMap":           {diag.Attr("values", "image", "name"), "values.image.name: wrong (values.schema.json of the chart): Set by key values.yaml of ConfigMap demo/base, line 3."},
		"the chart's own":     {diag.Attr("values", "nowhere"), "values.nowhere: wrong (values.schema.json of the chart): The value is the chart's own."},
		"not about the value": {diag.Attr("chart"), "chart: wrong"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := c.located(fmt.Errorf("release: %w", diag.List{diag.Errorf(tt.path, "wrong")}.Err()))
			list, ok := diag.From(err)
			if !ok || len(list) != 1 || list[0].Error() != tt.want {
				t.Errorf("got  %v\nwant %s", list, tt.want)
			}
		})
	}
}

// Merging is associative, what comes last wins, and nothing that was merged is
// changed by later merges.
func FuzzMerge(f *testing.F) {
	f.Add([]byte(`{"a":{"b":1},"c":null}`), []byte(`{"a":{"b":{"d":2}},"c":{"e":[]}}`), []byte(`{"a":5}`))
	f.Add([]byte(`{"a":5}`), []byte(`{"a":{"b":null}}`), []byte(`{"a":{}}`))
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		read := func(text []byte) (m map[string]any) {
			if json.Unmarshal(text, &m) != nil || m == nil {
				t.Skip()
			}
			return m
		}
		write := func(m map[string]any) string {
			text, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
		last, before := read(c), write(read(c))
		left := map[string]any{}
		values.Merge(left, read(a))
		values.Merge(left, read(b))
		values.Merge(left, last)
		values.Merge(left, map[string]any{"a": map[string]any{"later": 1}})
		if write(last) != before {
			t.Errorf("%s has become %s", before, write(last))
		}
		right, right2 := read(b), map[string]any{}
		values.Merge(right, read(c))
		values.Merge(right2, read(a))
		values.Merge(right2, right)
		values.Merge(right2, map[string]any{"a": map[string]any{"later": 1}})
		// A mapping over a scalar over a mapping is the one case in which it
		// matters what was merged first; JSON objects of b and c decide there.
		if write(left) != write(right2) && !replaces(read(b), read(c)) {
			t.Errorf("%s and %s", write(left), write(right2))
		}
		if again := map[string]any{}; true {
			values.Merge(again, left)
			values.Merge(again, left)
			if write(again) != write(left) {
				t.Errorf("twice: %s, once: %s", write(again), write(left))
			}
		}
	})
}

// replaces reports whether a mapping of over stands where under has something
// else.
func replaces(under, over map[string]any) bool {
	for key, value := range over {
		below, isMap := value.(map[string]any)
		was, exists := under[key]
		wasMap, isWasMap := was.(map[string]any)
		switch {
		case isMap && exists && !isWasMap:
			return true
		case isMap && isWasMap && replaces(wasMap, below):
			return true
		}
	}
	return false
}
