package manifest_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/manifest"
)

// loadText loads one file with that text.
func loadText(t *testing.T, name, text string) manifest.Result {
	t.Helper()
	return load(t, tree(t, map[string]string{name: text}), manifest.Options{})
}

// problems prints problems with their details, one a line.
func problems(r manifest.Result) (lines []string) {
	for _, p := range r.Problems {
		lines = append(lines, fmt.Sprintf("%s: %s", p.Severity, p))
	}
	return lines
}

func TestDocuments(t *testing.T) {
	const meta = "metadata: {name: %s}\n"
	obj := func(name string) string { return "kind: X\napiVersion: v1\n" + fmt.Sprintf(meta, name) }
	tests := map[string]struct {
		text string
		want []string
	}{
		"empty":                    {"", nil},
		"comments and markers":     {"# a\n---\n# b\n--- # c\n\n...\n---\n", nil},
		"null":                     {"~\n---\nnull\n", nil},
		"several":                  {obj("a") + "---\n" + obj("b") + "--- # c\n\n# x\n" + obj("c"), []string{"1 X/a", "5 X/b", "11 X/c"}},
		"begins with a marker":     {"---\n" + obj("a"), []string{"2 X/a"}},
		"directive":                {"%YAML 1.1\n---\n" + obj("a") + "...\n%YAML 1.1\n---\n" + obj("b"), []string{"3 X/a", "9 X/b"}},
		"without a last newline":   {obj("a") + "---", []string{"1 X/a"}},
		"on the line of a marker":  {"--- {kind: X, apiVersion: v1, metadata: {name: a}}\n", []string{"1 X/a"}},
		"after an end marker":      {obj("a") + "...\n" + obj("b"), []string{"1 X/a", "5 X/b"}},
		"CR LF":                    {strings.ReplaceAll(obj("a")+"---\n"+obj("b"), "\n", "\r\n"), []string{"1 X/a", "5 X/b"}},
		"CR":                       {strings.ReplaceAll(obj("a")+"---\n"+obj("b"), "\n", "\r"), []string{"1 X/a", "5 X/b"}},
		"byte order mark":          {"\ufeff" + obj("a"), []string{"1 X/a"}},
		"marker in a block scalar": {obj("a") + "s: |\n  ---\n  ----\n", []string{"1 X/a"}},
		"no marker":                {obj("a") + "---x: 1\n...y: 2\n", []string{"1 X/a"}},
		"comments first":           {"# one\n\n# two\n" + obj("a"), []string{"4 X/a"}},
		"JSON":                     {`{"kind": "X",` + "\n\t" + `"apiVersion":"v1","metadata":{"name":"\u0061\ud83d\ude00\/"}}`, []string{"1 X/a😀/"}},
		"JSON values in a row":     {`{"kind":"X","apiVersion":"v1","metadata":{"name":"a"}}` + "\n\n" + `{"kind":"X","apiVersion":"v1","metadata":{"name":"b"}}`, []string{"1 X/a", "3 X/b"}},
		"flow style":               {"{kind: X, apiVersion: v1, metadata: {name: a},}", []string{"1 X/a"}},
		"List": {"kind: List\napiVersion: v1\nitems:\n- kind: X\n  apiVersion: v1\n  metadata: {name: a}\n-\n  # note\n  kind: X\n  apiVersion: g/v1\n  metadata: {name: b}\n",
			[]string{"4 X/a", "9 X.g/b"}},
		"empty Lists":            {"kind: List\napiVersion: v1\n---\nkind: List\nitems:\n---\nkind: RoleList\nitems: []", nil},
		"list of a kind":         {"kind: RoleList\napiVersion: g/v1\nitems:\n- metadata: {name: a}\n- {kind: X, apiVersion: v1, metadata: {name: b}}", []string{"4 Role.g/a", "5 X/b"}},
		"a kind called List":     {"kind: AllowList\napiVersion: g/v1\nmetadata: {name: a}\nitems: [x]\n", []string{"1 AllowList.g/a"}},
		"anchors and merges":     {"kind: X\napiVersion: v1\nmetadata: &m {name: a}\nb: &b {x: 1}\nc: {<<: *b, y: *b}\nd: *m\n", []string{"1 X/a"}},
		"ignored":                {obj("a")[:len(obj("a"))-2] + `, annotations: {sluice.dev/ignore: "true"}}`, []string{"1 X/a ignored by annotation sluice.dev/ignore=true in the file"}},
		"ignored, as Flux 1 did": {obj("a")[:len(obj("a"))-2] + `, annotations: {flux.weave.works/ignore: "true"}}`, []string{"1 X/a ignored by annotation flux.weave.works/ignore=true in the file"}},
		"not ignored":            {obj("a")[:len(obj("a"))-2] + `, annotations: {fluxcd.io/ignore: "false", flux.weave.works/ignore: "true"}}`, []string{"1 X/a"}},
		"ignored, sync_only":     {obj("a")[:len(obj("a"))-2] + `, annotations: {fluxcd.io/ignore: sync_only}}`, []string{"1 X/a"}},
		"keys of all kinds":      {obj("a") + "1: a\n2.5: b\non: c\n", []string{"1 X/a"}},
		"null labels":            {"kind: X\napiVersion: v1\nmetadata: {name: a, labels: , annotations: null, namespace: }\n", []string{"1 X/a"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := loadText(t, "f.yaml", tt.text)
			var got []string
			for _, line := range describe(r) {
				got = append(got, strings.TrimPrefix(line, "f.yaml:"))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s\n%s", diff, strings.Join(problems(r), "\n"))
			}
		})
	}
}

// Each bad document is reported with its line, and harms no other.
func TestBadDocuments(t *testing.T) {
	const notAnObject = ": An object is a mapping with apiVersion, kind and metadata. Name files that are not for the cluster in .sluiceignore."
	const needs = ": Each object needs an apiVersion, a kind and a metadata.name."
	const template = ": The document holds {{ }} of a template. " +
		"Templates of a Helm chart are rendered by a release; name other files that are not for the cluster in .sluiceignore."
	const head = "apiVersion: v1\nkind: X\n"
	tests := map[string]struct {
		text string // of the bad document, whose first line is 6
		want []string
	}{
		"syntax":                {"a: 1\nb: [1, 2\nc: 3\n", []string{"error: f.yaml:7: syntax error: did not find expected ',' or ']'"}},
		"mapping in text":       {"a: b: c\n", []string{"error: f.yaml:6: syntax error: mapping values are not allowed in this context"}},
		"tabs":                  {"a:\n\tb: 1\n", []string{"error: f.yaml:7: syntax error: found character that cannot start any token: YAML is indented by spaces, never by tabs."}},
		"indentation":           {"a: 1\n  b: 2\n", []string{"error: f.yaml:7: syntax error: mapping values are not allowed in this context"}},
		"unclosed quote":        {"a: \"b\nc: d\n", []string{"error: f.yaml:6: syntax error: found unexpected end of stream"}},
		"template":              {"name: {{ .Values.name }}\n", []string{"error: f.yaml:6:8: a key must be a string" + template}},
		"template block":        {"{{- if .Values.on }}\na: 1\n{{- end }}\n", []string{"error: f.yaml:6: syntax error: invalid character '{'" + template}},
		"unknown anchor":        {"a: 1\nb: *c\n", []string{"error: f.yaml:7: syntax error: unknown anchor 'c' referenced"}},
		"control character":     {"a: \x01\n", []string{"error: f.yaml:6: syntax error: control characters are not allowed"}},
		"JSON":                  {"{\"a\": 1,\n \"b\" 2}\n", []string{"error: f.yaml:7: syntax error: invalid character '2' after object key"}},
		"JSON cut off":          {"{\"a\":\n{\n", []string{"error: f.yaml:8: syntax error: unexpected EOF"}},
		"text":                  {"hello\n", []string{"error: f.yaml:6:1: the document is not an object" + notAnObject}},
		"sequence":              {"- a\n- b\n", []string{"error: f.yaml:6:1: the document is not an object" + notAnObject}},
		"values":                {"replicas: 1\n", []string{"error: f.yaml:6:1: no apiVersion and no kind" + notAnObject}},
		"empty mapping":         {"{}\n", []string{"error: f.yaml:6:1: no apiVersion and no kind" + notAnObject}},
		"no kind":               {"apiVersion: v1\nmetadata: {name: a}\n", []string{"error: f.yaml:6:1: no kind" + needs}},
		"no apiVersion":         {"kind: X\nmetadata: {name: a}\n", []string{"error: f.yaml:6:1: no apiVersion" + needs}},
		"empty kind":            {"apiVersion: v1\nkind: ''\nmetadata: {name: a}\n", []string{"error: f.yaml:7:7: no kind" + needs}},
		"apiVersion a number":   {"apiVersion: 1\nkind: X\nmetadata: {name: a}\n", []string{`error: f.yaml:6:13: apiVersion is not a string: Put quotes around it: "1".`}},
		"apiVersion's form":     {"apiVersion: a/b/c\nkind: X\nmetadata: {name: a}\n", []string{`error: f.yaml:6:13: apiVersion "a/b/c" is neither VERSION nor GROUP/VERSION`}},
		"no metadata":           {head, []string{"error: f.yaml:6:1: no metadata.name: Each object needs a name."}},
		"metadata not indented": {head + "metadata:\nname: a\n", []string{"error: f.yaml:8:10: no metadata.name: Each object needs a name."}},
		"metadata a list":       {head + "metadata: [a]\n", []string{"error: f.yaml:8:11: metadata is not a mapping: Indent the fields of metadata below it."}},
		"no name":               {head + "metadata:\n  namespace: x\n", []string{"error: f.yaml:9:3: no metadata.name" + needs}},
		"generateName": {head + "metadata:\n  generateName: a-\n", []string{
			"error: f.yaml:9:17: generateName instead of a name: With generateName each apply would make one more object. Give it a metadata.name."}},
		"name a number":    {head + "metadata: {name: 12}\n", []string{`error: f.yaml:8:18: metadata.name is not a string: Put quotes around it: "12".`}},
		"namespace a bool": {head + "metadata: {name: a, namespace: yes}\n", []string{`error: f.yaml:8:32: metadata.namespace is not a string: Put quotes around it: "yes".`}},
		"labels a list":    {head + "metadata: {name: a, labels: [x]}\n", []string{"error: f.yaml:8:29: metadata.labels is not a mapping"}},
		"values not strings": {head + "metadata:\n  name: a\n  labels: {b: 1, a: x}\n  annotations:\n    on: off\n    m: {}\n    k: x\n    z:\n", []string{
			`error: f.yaml:10:15: the value of label "b" is not a string: Put quotes around it: "1".`,
			`error: f.yaml:13:8: the value of annotation "m" is not a string: Write "" for an empty value.`,
			`error: f.yaml:12:5: the value of annotation "true" is not a string: Write "" for an empty value.`,
			`error: f.yaml:15:7: the value of annotation "z" is not a string: Write "" for an empty value.`,
		}},
		"ignore unquoted": {head + "metadata:\n  name: a\n  annotations:\n    fluxcd.io/ignore: true\n",
			[]string{`error: f.yaml:11:23: the value of annotation "fluxcd.io/ignore" is not a string: Put quotes around it: "true".`}},
		"duplicate keys": {head + "metadata: {name: a}\nspec:\n  a: 1\n  b: 2\n  a: 3\nkind: Y\n", []string{
			`error: f.yaml:12:3: key "a" is there twice: It stands first in line 10; of two values only one can hold.`,
			`error: f.yaml:13:1: key "kind" is there twice: It stands first in line 7; of two values only one can hold.`}},
		"duplicate keys in JSON": {"{\"kind\": \"X\", \"apiVersion\": \"v1\",\n  \"metadata\": {\"name\": \"é\", \"name\": \"b\"}}\n", []string{
			`error: f.yaml:7:29: key "name" is there twice: It stands first in line 7; of two values only one can hold.`}},
		"no number for JSON": {head + "metadata: {name: a}\nx: .NaN\n", []string{"error: f.yaml:9:4: JSON, which Kubernetes speaks, has no number .NaN"}},
		"wrong tag":          {head + "metadata: {name: a}\nx: !!int abc\n", []string{`error: f.yaml:9:4: "abc" is no !!int`}},
		"binary":             {head + "metadata: {name: a}\nx: !!binary //8=\n", []string{"error: f.yaml:9:4: !!binary takes base64 of UTF-8 text"}},
		"alias in itself":    {head + "metadata: {name: a}\nx: &x [*x]\n", []string{"error: f.yaml:9:8: alias *x refers to a value that contains it"}},
		"merge of a text":    {head + "metadata: {name: a}\nx: {<<: y}\n", []string{"error: f.yaml:9:9: << takes a mapping or a list of mappings"}},
		"items no list":      {"kind: List\nitems: {a: b}\n", []string{"error: f.yaml:7:8: the items of a List are no list"}},
		"bad items": {"kind: List\nitems:\n- x\n- {kind: List, items: []}\n- {kind: X}\n- " + strings.TrimSpace(strings.ReplaceAll(cm("item"), "\n", "\n  ")) + "\n", []string{
			"error: f.yaml:8:3: the item is not an object", "error: f.yaml:9:3: a List in a List: Put its items into the outer list.",
			"error: f.yaml:10:3: no apiVersion" + needs, "error: f.yaml:10:3: no metadata.name: Each object needs a name."}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := loadText(t, "f.yaml", cm("before")+"---\n"+tt.text+"---\n"+cm("after"))
			if diff := cmp.Diff(tt.want, problems(r)); diff != "" {
				t.Error(diff)
			}
			var names []string
			for _, o := range r.Objects {
				names = append(names, o.Ref.Name)
			}
			want := []string{"before", "after"}
			if name == "bad items" {
				want = []string{"before", "item", "after"}
			}
			if diff := cmp.Diff(want, names); diff != "" || r.Complete {
				t.Errorf("the other objects, complete=%v:\n%s", r.Complete, diff)
			}
		})
	}
}

func TestWarningsLeaveTheLoadComplete(t *testing.T) {
	r := loadText(t, "f.yaml", cm("a")+"  annotations:\n    fluxcd.io/ignore: \"yes\"\n")
	want := []string{`warning: f.yaml:6:23: fluxcd.io/ignore: "yes" has no effect: It takes "true", which leaves the object alone, or "sync_only", which applies it and never deletes it.`}
	if diff := cmp.Diff(want, problems(r)); diff != "" || !r.Complete || len(r.Objects) != 1 {
		t.Errorf("complete=%v, %d objects\n%s", r.Complete, len(r.Objects), diff)
	}
}

func TestEncodings(t *testing.T) {
	text := cm("naïve-😀")
	utf16Bytes := func(order binary.ByteOrder) string {
		var b bytes.Buffer
		for _, u := range append([]uint16{0xfeff}, utf16.Encode([]rune(text))...) {
			var unit [2]byte
			order.PutUint16(unit[:], u)
			b.Write(unit[:])
		}
		return b.String()
	}
	for name, text := range map[string]string{"little endian": utf16Bytes(binary.LittleEndian), "big endian": utf16Bytes(binary.BigEndian)} {
		if diff := cmp.Diff([]string{"f.yaml:1 ConfigMap/naïve-😀"}, describe(loadText(t, "f.yaml", text))); diff != "" {
			t.Errorf("UTF-16, %s:\n%s", name, diff)
		}
	}
	want := []string{"error: f.yaml:5: the file is not text: Manifests are UTF-8, or UTF-16 with a byte order mark. Byte 0xe9 at offset 55 is not UTF-8."}
	if diff := cmp.Diff(want, problems(loadText(t, "f.yaml", cm("caf")+"# \xe9\n"))); diff != "" {
		t.Errorf("Latin-1:\n%s", diff)
	}
}

func TestScalars(t *testing.T) {
	tests := map[string]string{ // YAML to JSON
		"yes": "true", "On": "true", "y": "true", "no": "false", "OFF": "false", "True": "true", "tRUE": `"tRUE"`, "~": "null", "Null": "null",
		`"yes"`: `"yes"`, "'1'": `"1"`, "|\n  12": `"12\n"`, "!!str 12": `"12"`, "!!float 3": "3", "!!null ''": "null",
		"0755": "493", "0o755": "493", "0x1F": "31", "-0b11": "-3", "1_000": "1000", "09": "9", "+7": "7", "0o8": `"0o8"`,
		"1.0": "1", "1.5": "1.5", "1e3": "1000", ".5": "0.5", "5.": "5", "1e400": `"1e400"`, "1e": `"1e"`, "-": "", "1.2.3": `"1.2.3"`,
		"9223372036854775807": "9223372036854775807", "9223372036854775808": "9223372036854776000",
		"2001-12-14": `"2001-12-14"`, "12:30:45": `"12:30:45"`, "!!binary aGVsbG8=": `"hello"`, "!own x": `"x"`, "<a&b>": `"<a&b>"`,
		"{1: a, 2.5: b, yes: c}": `{"1":"a","2.5":"b","true":"c"}`, "{<<: [{a: 1}, {a: 2, c: 3}], b: 2, c: 9}": `{"a":1,"b":2,"c":9}`, `{"<<": 1}`: `{"<<":1}`,
	}
	for text, want := range tests {
		r := loadText(t, "f.yaml", cm("a")+"v: "+text+"\n")
		if want == "" {
			if len(r.Problems) == 0 {
				t.Errorf("%s: no problem", text)
			}
			continue
		}
		if len(r.Objects) != 1 {
			t.Errorf("%s: %v", text, r.Problems)
			continue
		}
		_, got, _ := strings.Cut(string(r.Objects[0].JSON), `"v":`)
		if got != want+"}" {
			t.Errorf("%s is %s, want %s}", text, got, want)
		}
	}
	r := loadText(t, "f.json", `{"apiVersion":"v1","kind":"X","metadata":{"name":"a"},"v":[1,1.0,0.5,"yes",null,true,1E2]}`)
	if got := string(r.Objects[0].JSON); !strings.HasSuffix(got, `"v":[1,1,0.5,"yes",null,true,100]}`) {
		t.Errorf("JSON: %s", got)
	}
}

// bombs are files that are small and want to be large.
var bombs = map[string]string{
	"billion laughs": cm("a") + "a: &a [x,x,x,x,x,x,x,x,x]\n" + laughs(),
	"long text":      cm("a") + "a: &a \"" + strings.Repeat("x", 1<<20) + "\"\nb: [" + strings.Repeat("*a,", 1000) + "]\n",
	"merges":         cm("a") + "a: &a {" + manyKeys() + "}\n" + mergeTower(),
	"nesting":        cm("a") + "a: " + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + "\n",
	"deep nesting":   cm("a") + "a: " + strings.Repeat("{a: ", 200_000) + "\n",
	"JSON nesting":   `{"apiVersion":"v1","kind":"X","metadata":{"name":"a"},"a":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}",
	"indentation":    cm("a") + "a:\n" + staircase(),
	"documents":      strings.Repeat("---\n:\n", 5000),
	"long line":      cm("a") + "a: " + strings.Repeat("x ", 1<<20) + "\n",
	"long JSON line": `{"apiVersion":"v1","kind":"X","metadata":{"name":"a"},"a":[` + strings.Repeat(`"é",`, 150_000) + `{"a":1,"a":2}]}`,
	"many values":    cm("a") + "a: [" + strings.Repeat("x,", 4<<20) + "]\n",
	"many keys":      cm("a") + "a: {" + strings.Repeat("x, ", 100_000) + "}\n",
}

func laughs() string {
	var b strings.Builder
	for c := 'b'; c < 'n'; c++ {
		fmt.Fprintf(&b, "%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 9), ","))
	}
	return b.String()
}

func manyKeys() string {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "k%d: v, ", i)
	}
	return b.String()
}

func mergeTower() string {
	var b strings.Builder
	for i := range 20 {
		fmt.Fprintf(&b, "m%d: &m%d [{<<: [*a,*a,*a,*a,*a,*a,*a,*a,*a]}, {<<: *a}]\n", i, i)
	}
	return b.String()
}

func staircase() string {
	var b strings.Builder
	for i := range 3000 {
		b.WriteString(strings.Repeat(" ", i+1) + "a:\n")
	}
	return b.String()
}

func TestBombs(t *testing.T) {
	for name, text := range bombs {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			r := loadText(t, "f.yaml", text)
			if d := time.Since(begin); d > 20*time.Second {
				t.Errorf("took %v", d)
			}
			size := 0
			for _, o := range r.Objects {
				size += len(o.JSON)
			}
			if size > 16<<20 {
				t.Errorf("expanded to %d bytes", size)
			}
			if name != "long line" && len(r.Problems) == 0 {
				t.Errorf("%d objects of %d bytes, no problem", len(r.Objects), size)
			}
			if len(r.Problems) > 21 {
				t.Errorf("%d problems", len(r.Problems))
			}
			for _, p := range r.Problems {
				if len(p.Error()) > 1000 {
					t.Errorf("a problem of %d bytes", len(p.Error()))
				}
			}
		})
	}
}

// shared returns a directory of real repositories, or skips.
func shared(t testing.TB, name string) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "..", "..", "shared", "data", name))
	if err != nil {
		t.Fatal(err)
	}
	if env := os.Getenv("SLUICE_SHARED_DATA"); env != "" {
		dir = filepath.Join(env, name)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no %s: set SLUICE_SHARED_DATA to the directory that has it", dir)
	}
	return dir
}

func TestRealRepositories(t *testing.T) {
	tests := map[string]struct {
		objects, files int
		want           []string // among what describe prints
	}{
		"flux-get-started": {8, 8, []string{"skipped charts/ghost: it is a Helm chart", "releases/ghost.yaml:2 demo:HelmRelease.helm.fluxcd.io/ghost",
			"workloads/podinfo-hpa.yaml:1 demo:HorizontalPodAutoscaler.autoscaling/podinfo", "namespaces/demo.yaml:1 Namespace/demo"}},
		"kube-prometheus": {131, 95, []string{"manifests/setup/namespace.yaml:1 Namespace/monitoring"}},
		"podinfo":         {3, 4, []string{"skipped kustomize/kustomization.yaml: it is a kustomization", "skipped charts/podinfo: it is a Helm chart"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := load(t, shared(t, name), manifest.Options{})
			lines := describe(r)
			if len(r.Objects) != tt.objects || r.Files != tt.files || len(r.Problems) != 0 {
				t.Errorf("%d objects of %d files:\n%s", len(r.Objects), r.Files, strings.Join(lines, "\n"))
			}
			for _, want := range tt.want {
				if !strings.Contains("\n"+strings.Join(lines, "\n")+"\n", "\n"+want+"\n") {
					t.Errorf("no line %q in:\n%s", want, strings.Join(lines, "\n"))
				}
			}
		})
	}
}

func FuzzLoad(f *testing.F) {
	for _, text := range []string{cm("a"), cm("a") + "---\n" + cm("b"), "kind: List\nitems: [{}]", `{"a":[1,"x"]}`, "a: &a [*a]", "a: {<<: [*b]}", "%YAML 1.1\n--- |\n x\n...\n",
		"? [a]\n: b", "!!binary x", "\ufeffa: 1", "{{ x }}", "\xff\xfea\x00", "a: \"\\x\"", "kind: x\r\rkind: x", "- - - a", "a: !!int x"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "f.yaml"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := manifest.Load(t.Context(), dir, manifest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		lines := 1 + bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("\r"))
		if bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff}) {
			lines = len(data) // not worth counting
		}
		for _, o := range r.Objects {
			item, err := o.Item()
			if err != nil {
				t.Fatalf("%s: %v", o.JSON, err)
			}
			if item.Object["kind"] != o.Ref.Kind || o.Ref.Name == "" || o.Line < 1 || o.Line > lines {
				t.Errorf("%d: %s of %v", o.Line, o.Ref, item.Object)
			}
		}
		for _, p := range r.Problems {
			if p.Subject.File == "" || p.Summary == "" || strings.Contains(p.Error(), "\x00") || p.Subject.Start.Line > lines+1 {
				t.Errorf("problem %q at %v of %d lines", p.Error(), p.Subject, lines)
			}
		}
	})
}

// apps writes the 1,004 objects of the performance budget.
func apps(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	write := func(name, text string) {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	for i := range 4 {
		write(fmt.Sprintf("ns%d.yaml", i), fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: ns%d}\n", i))
	}
	for i := range 200 {
		head := func(apiVersion, kind string) string {
			return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata:\n  name: app%d\n  namespace: ns%d\n  labels:\n    app: app%d\n", apiVersion, kind, i, i%4, i)
		}
		dir := fmt.Sprintf("app%d/", i)
		write(dir+"deployment.yaml", head("apps/v1", "Deployment")+"spec:\n  replicas: 0\n  selector:\n    matchLabels:\n      app: x\n  template:\n    metadata:\n      labels:\n        app: x\n    spec:\n      containers:\n      - name: app\n        image: registry.example.com/app:1.2.3\n        ports:\n        - containerPort: 8080\n        resources:\n          requests:\n            cpu: 10m\n            memory: 16Mi\n")
		write(dir+"service.yaml", head("v1", "Service")+"spec:\n  selector:\n    app: x\n  ports:\n  - port: 80\n    targetPort: 8080\n")
		write(dir+"config.yaml", head("v1", "ConfigMap")+"data:\n  a: one\n  b: |\n    two\n    three\n")
		write(dir+"account.yaml", head("v1", "ServiceAccount"))
		write(dir+"hpa.yaml", head("autoscaling/v2", "HorizontalPodAutoscaler")+"spec:\n  minReplicas: 1\n  maxReplicas: 3\n  scaleTargetRef:\n    apiVersion: apps/v1\n    kind: Deployment\n    name: app\n")
	}
	return dir
}

func BenchmarkLoad1004(b *testing.B) {
	dir := apps(b)
	run := func(name string, o manifest.Options) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := manifest.Load(b.Context(), dir, o)
				if err != nil || len(r.Objects) != 1004 || !r.Complete {
					b.Fatal(err, len(r.Objects), r.Problems)
				}
			}
		})
	}
	run("cold", manifest.Options{})
	run("known files", manifest.Options{Cache: manifest.NewCache(64 << 20)})
	run("known tree", manifest.Options{Cache: manifest.NewCache(64 << 20), Tree: "t"})
}

func BenchmarkLoadKubePrometheus(b *testing.B) {
	dir := shared(b, "kube-prometheus")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := manifest.Load(b.Context(), dir, manifest.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
