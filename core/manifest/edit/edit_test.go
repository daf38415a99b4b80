package edit_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pod is a Pod called p whose one container, app, has the image as it is
// written.
func pod(image string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\nspec:\n  containers:\n  - name: app\n    image: " + image + "\n"
}

func setImage(image string) edit.Edit {
	return edit.Edit{Workload: "default:pod/p", Container: "app", Image: image}
}

// apply makes one edit.
func apply(data string, e edit.Edit) (string, error) {
	out, errs := edit.Apply([]byte(data), edit.Options{}, []edit.Edit{e})
	return string(out), errs[0]
}

// TestScalarStyles: a scalar keeps its style, and what is around it stays.
func TestScalarStyles(t *testing.T) {
	tests := map[string]struct{ in, to, want string }{
		"plain":                    {"nginx:1", "nginx:2", "nginx:2"},
		"comment":                  {"nginx:1   # keep\tit", "nginx:22", "nginx:22   # keep\tit"},
		"spaces behind":            {"nginx:1  ", "nginx:2", "nginx:2  "},
		"double":                   {`"nginx:1" # c`, "nginx:2", `"nginx:2" # c`},
		"double with escapes":      {`"ngin\x78:1"`, "nginx:2", `"nginx:2"`},
		"single":                   {"'nginx:1'", "nginx:2", "'nginx:2'"},
		"spaces before":            {"    nginx:1", "nginx:2", "    nginx:2"},
		"next line":                {"\n      nginx:1", "nginx:2", "\n      nginx:2"},
		"next line and comment":    {"# why\n      # so\n      'nginx:1' # x", "nginx:2", "# why\n      # so\n      'nginx:2' # x"},
		"anchor":                   {"&img nginx:1", "nginx:2", "&img nginx:2"},
		"tag":                      {"!!str nginx:1", "nginx:2", "!!str nginx:2"},
		"tag and anchor":           {"!!str &a \"nginx:1\"", "nginx:2", "!!str &a \"nginx:2\""},
		"anchor, next line":        {"&a\n      nginx:1", "nginx:2", "&a\n      nginx:2"},
		"non-specific tag":         {"! nginx:1", "nginx:2", "! nginx:2"},
		"literal strip":            {"|-\n      nginx:1", "nginx:2", "|-\n      nginx:2"},
		"literal strip, comment":   {"|- # c\n\n      nginx:1\n", "nginx:2", "|- # c\n      nginx:2\n"},
		"folded strip":             {">-\n        nginx:1", "nginx:2", ">-\n        nginx:2"},
		"folded keeps chomping":    {">-\n      nginx:1\n\n", "nginx:2", ">-\n      nginx:2\n\n"},
		"literal clip":             {"|\n      nginx:1", "nginx:2", `"nginx:2"`},
		"explicit indentation":     {"|2-\n      nginx:1", "nginx:2", `"nginx:2"`},
		"double, several lines":    {"\"nginx\\\n      :1\"", "nginx:2", `"nginx:2"`},
		"plain, a digest":          {"nginx@sha256:" + strings.Repeat("a", 64), "nginx:2@sha256:" + strings.Repeat("b", 64), "nginx:2@sha256:" + strings.Repeat("b", 64)},
		"no tag before":            {"nginx", "nginx:2", "nginx:2"},
		"port and path":            {"localhost:5000/a/b:1", "localhost:5000/a/b:1.2", "localhost:5000/a/b:1.2"},
		"number":                   {"1", "nginx:2", "nginx:2"},
		"looks like a number":      {"a", "1e3", `"1e3"`},
		"looks like a bool":        {"a", "yes", `"yes"`},
		"looks like base 60":       {"a", "1:30", `"1:30"`},
		"quotes of the document":   {"nginx\n  - name: 'b'\n    image: b", "123", "'123'\n  - name: 'b'\n    image: b"},
		"same value":               {"\"ngin\\x78:1\"", "nginx:1", "\"ngin\\x78:1\""},
		"same value, not a string": {"1", "1", "1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := apply(pod(tt.in), setImage(tt.to))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(pod(tt.want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestTagsNeedQuotes: a tag in a field of its own stays a string for every
// parser.
func TestTagsNeedQuotes(t *testing.T) {
	const head = "apiVersion: helm.fluxcd.io/v1\nkind: HelmRelease\nmetadata: {name: r}\nspec:\n  values:\n    image:\n      repository: a\n      tag: "
	for tag, want := range map[string]string{
		"1e3": `"1e3"`, "1.10": `"1.10"`, "0755": `"0755"`, "yes": `"yes"`, "NO": `"NO"`, "on": `"on"`, "y": `"y"`, "true": `"true"`, "null": `"null"`,
		"007": `"007"`, "08": `"08"`, "1_000": `"1_000"`, "0x1f": `"0x1f"`, "0o17": `"0o17"`, "0b11": `"0b11"`, "12": `"12"`, "2024-01-02": `"2024-01-02"`,
		"1234567e8": `"1234567e8"`, "1e999": `"1e999"`, "20240102": `"20240102"`, "1.": `"1."`, "_1": "_1",
		"1.2.3": "1.2.3", "v1": "v1", "latest": "latest", "2024-01-02-a": "2024-01-02-a", "1.2-alpine": "1.2-alpine", "abc": "abc", "1e3a": "1e3a",
	} {
		t.Run(tag, func(t *testing.T) {
			got, err := apply(head+"1.2.0 # c\n", edit.Edit{Workload: "default:helmrelease/r", Container: "chart-image", Image: "a:" + tag})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(head+want+" # c\n", got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestFiles edits whole files: line endings, marks, lists and documents.
func TestFiles(t *testing.T) {
	utf16 := func(s string) string {
		b := []byte{0xff, 0xfe}
		for _, r := range s {
			b = append(b, byte(r), byte(r>>8))
		}
		return string(b)
	}
	two := "# first\n" + pod("x:1") + "---   # second\n" + strings.ReplaceAll(pod("x:1"), "name: p\n", "name: p\n  namespace: other\n") + "...\n# end"
	list := "kind: List\napiVersion: v1\nitems:\n- kind: ConfigMap\n  apiVersion: v1\n  metadata: {name: p}\n-   apiVersion: v1\n    kind: Pod\n    metadata: {name: p}\n    spec:\n        containers:\n          -   image: x:1\n              name: app\n"
	tests := map[string]struct{ in, want string }{
		"CRLF":                 {strings.ReplaceAll(pod("x:1"), "\n", "\r\n"), strings.ReplaceAll(pod("x:2"), "\n", "\r\n")},
		"CR":                   {strings.ReplaceAll(pod("x:1"), "\n", "\r"), strings.ReplaceAll(pod("x:2"), "\n", "\r")},
		"mixed":                {strings.Replace(pod("x:1"), "\n", "\r\n", 3), strings.Replace(pod("x:2"), "\n", "\r\n", 3)},
		"BOM":                  {"\ufeff" + pod("x:1"), "\ufeff" + pod("x:2")},
		"BOM and marker":       {"\ufeff---\n" + pod("x:1"), "\ufeff---\n" + pod("x:2")},
		"UTF-16":               {utf16(pod("x:1 # ä")), utf16(pod("x:2 # ä"))},
		"no last line end":     {strings.TrimSuffix(pod("x:1"), "\n"), strings.TrimSuffix(pod("x:2"), "\n")},
		"tabs in comments":     {"#\ta\t\n" + pod("x:1\t# b\tc"), "#\ta\t\n" + pod("x:2\t# b\tc")},
		"letters before":       {"# äöü\n" + strings.Replace(pod("x:1"), "- name", "- \"ä😀\": ö\n    name", 1), "# äöü\n" + strings.Replace(pod("x:2"), "- name", "- \"ä😀\": ö\n    name", 1)},
		"letters on the line":  {strings.Replace(pod("x:1"), "- name: app\n    image: x:1", "- {ä: 😀ö, name: app, image: x:1}", 1), strings.Replace(pod("x:1"), "- name: app\n    image: x:1", "- {ä: 😀ö, name: app, image: x:2}", 1)},
		"other namespace":      {two, strings.Replace(two, "x:1", "x:2", 1)},
		"list":                 {list, strings.Replace(list, "x:1", "x:2", 1)},
		"kind of list":         {strings.Replace(strings.Replace(list, "kind: List", "kind: PodList", 1), "-   apiVersion: v1\n    kind: Pod\n    metadata", "-   metadata", 1), strings.Replace(strings.Replace(strings.Replace(list, "kind: List", "kind: PodList", 1), "-   apiVersion: v1\n    kind: Pod\n    metadata", "-   metadata", 1), "x:1", "x:2", 1)},
		"JSON":                 {`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"image":"x:1","name":"app"}]}}`, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"image":"x:2","name":"app"}]}}`},
		"JSON with tabs":       {"{\n\t\"apiVersion\": \"v1\", \"kind\": \"Pod\",\r\n\t\"metadata\": {\"name\": \"p\"}, \"spec\": {\"ä\": \"\\u00e4\", \"containers\": [\n\t\t{\"image\": \"x\\u003a1\", \"name\": \"app\"}]}}\n", "{\n\t\"apiVersion\": \"v1\", \"kind\": \"Pod\",\r\n\t\"metadata\": {\"name\": \"p\"}, \"spec\": {\"ä\": \"\\u00e4\", \"containers\": [\n\t\t{\"image\": \"x:2\", \"name\": \"app\"}]}}\n"},
		"JSON stream":          {`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"q"}}` + "\n" + `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"image":"x:1","name":"app"}]}}`, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"q"}}` + "\n" + `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"image":"x:2","name":"app"}]}}`},
		"flow":                 {"{apiVersion: v1, kind: Pod, metadata: {name: p},\n spec: {containers: [{name: app, image: x:1}]}}", "{apiVersion: v1, kind: Pod, metadata: {name: p},\n spec: {containers: [{name: app, image: x:2}]}}"},
		"flow, last in braces": {"apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: { containers: [ {name: app, image: x:1} ] }", "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: { containers: [ {name: app, image: x:2} ] }"},
		"a broken neighbour":   {"a: [\n---\n" + pod("x:1"), "a: [\n---\n" + pod("x:2")},
		"name with escapes":    {strings.Replace(pod("x:1"), "name: p\n", `name: "\x70"`+"\n", 1), strings.Replace(pod("x:2"), "name: p\n", `name: "\x70"`+"\n", 1)},
		"directive":            {"%YAML 1.1\n---\n" + pod("x:1"), "%YAML 1.1\n---\n" + pod("x:2")},
		"next line separator":  {"# a\u0085" + pod("x:1"), "# a\u0085" + pod("x:2")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := apply(tt.in, setImage("x:2"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			back, err := apply(got, setImage("x:1"))
			if want := strings.Replace(tt.in, `x\u003a1`, "x:1", 1); err != nil || back != want {
				t.Errorf("not back: %v\n%s", err, cmp.Diff(want, back))
			}
		})
	}
}

// TestKustomize changes what an entry says, and finds it by any spelling of its
// name.
func TestKustomize(t *testing.T) {
	const head, digest = "kind: Kustomization\napiVersion: kustomize.config.k8s.io/v1beta1\nimages:\n", "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	tests := map[string]struct{ in, name, image, want string }{
		"tag":                {"- name: nginx # c\n  newTag: '1.27'\n", "nginx", "nginx:1.28", "- name: nginx # c\n  newTag: '1.28'\n"},
		"tag, no tag before": {"- name: nginx # c\n", "nginx", "nginx:1.28", "- name: nginx # c\n  newTag: \"1.28\"\n"},
		"another spelling":   {"- name: nginx\n  newTag: v1\n", "docker.io/library/nginx", "nginx:v2", "- name: nginx\n  newTag: v2\n"},
		"by its new name":    {"- name: web\n  newName: ghcr.io/org/web\n  newTag: v1\n", "ghcr.io/org/web", "ghcr.io/org/web:v2", "- name: web\n  newName: ghcr.io/org/web\n  newTag: v2\n"},
		"another name":       {"- name: web\n  newTag: v1\n", "web", "ghcr.io/org/web:v1", "- name: web\n  newTag: v1\n  newName: ghcr.io/org/web\n"},
		"digest":             {"- name: web\n  newTag: v1\n", "web", "web:v1@" + digest, "- name: web\n  newTag: v1\n  digest: " + digest + "\n"},
		"digest to tag":      {"- digest: " + digest + "\n  name: web\n", "web", "web:v1", "- name: web\n  newTag: v1\n"},
		"digest to tag, 2":   {"-   name: web\n    digest: " + digest + "\n-   name: b\n", "web", "web:v1", "-   name: web\n    newTag: v1\n-   name: b\n"},
		"there already":      {"- name: web\n  newTag: v1\n", "web", "web:v1", "- name: web\n  newTag: v1\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := apply(head+tt.in, edit.Edit{Kustomize: tt.name, Image: tt.image})
			if err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(head+tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, err := apply(head+"- name: web\n  newTag: v1\n", edit.Edit{Kustomize: "web", Image: "web:v3", From: "web:v2"}); err == nil || !strings.Contains(err.Error(), "is web:v1 and not web:v2") {
		t.Errorf("error %v", err)
	}
}

// TestRefused: an edit that cannot be made alone, or is about nothing, changes
// nothing.
func TestRefused(t *testing.T) {
	twoAliases := pod("&i x:1") + "  - name: b\n    image: *i\n"
	tests := map[string]struct {
		in   string
		e    edit.Edit
		want string // in the error
	}{
		"anchor that another uses":     {twoAliases, setImage("x:2"), "line 8: spec.containers.1.image has this value too, by an alias, and would change with it: write its value out there"},
		"alias of another's":           {twoAliases, edit.Edit{Workload: "default:pod/p", Container: "b", Image: "x:2"}, "line 8: spec.containers.0.image has"},
		"anchor in an annotation":      {strings.Replace(pod("*i"), "name: p\n", "name: p\n  annotations: {i: &i x:1}\n", 1), setImage("x:2"), "metadata.annotations.i"},
		"merged in twice":              {pod("x:1\n  - &b {image: y:1, name: b}\n  - {<<: *b, name: c}"), edit.Edit{Workload: "default:pod/p", Container: "c", Image: "x:2"}, "spec.containers.1.image"},
		"not a string's tag":           {pod("!!binary eDox"), setImage("x:2"), "tag !!binary"},
		"key there twice":              {pod("x:1\n    image: y:1"), setImage("x:2"), "twice"},
		"container there twice":        {pod("x:1\n  - {name: app, image: y}"), setImage("x:2"), "container app is there twice"},
		"workload there twice":         {pod("x:1") + "---\n" + pod("x:1"), setImage("x:2"), "there twice, first in line 1"},
		"no such workload":             {pod("x:1"), edit.Edit{Workload: "default:pod/q", Container: "app", Image: "x"}, "default:pod/q: not found"},
		"no such container":            {pod("x:1"), edit.Edit{Workload: "default:pod/p", Container: "q", Image: "x"}, "it has app"},
		"in another namespace":         {pod("x:1"), edit.Edit{Workload: "a:pod/p", Container: "app", Image: "x"}, "there is default:pod/p"},
		"not what is expected":         {pod("x:1"), edit.Edit{Workload: "default:pod/p", Container: "app", Image: "x:3", From: "x:2"}, "the image is x:1 and not x:2 any more"},
		"a broken document":            {"kind: Pod\nmetadata: {name: p\n", setImage("x:2"), "could not be read"},
		"not text":                     {"\xff\xff", setImage("x:2"), "not UTF-8"},
		"half a character of UTF-16":   {"\xff\xfea", setImage("x:2"), "UTF-16"},
		"an image that is none":        {pod("x:1"), setImage("X:"), "image"},
		"nothing":                      {pod("x:1"), edit.Edit{}, "an edit names"},
		"two forms":                    {pod("x:1"), edit.Edit{Workload: "default:pod/p", Marker: "m", Image: "x"}, "an edit names"},
		"annotations and an image":     {pod("x:1"), edit.Edit{Workload: "default:pod/p", Container: "app", Image: "x", Remove: []string{"a"}}, "an edit of their own"},
		"annotations that are a list":  {strings.Replace(pod("x:1"), "name: p\n", "name: p\n  annotations: []\n", 1), edit.Edit{Workload: "default:pod/p", Set: map[string]string{"a": "b"}}, "no mapping"},
		"annotations that are aliased": {strings.Replace(pod("x:1"), "name: p\n", "name: p\n  labels: &l {a: b}\n  annotations: *l\n", 1), edit.Edit{Workload: "default:pod/p", Set: map[string]string{"c": "d"}}, "an alias has it"},
		"annotation that is merged in": {strings.Replace(pod("x:1"), "name: p\n", "name: p\n  labels: &l {a: b}\n  annotations: {<<: *l, c: d}\n", 1), edit.Edit{Workload: "default:pod/p", Remove: []string{"a"}}, "merged in"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := apply(tt.in, tt.e)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if got != tt.in {
				t.Errorf("the file changed:\n%s", cmp.Diff(tt.in, got))
			}
		})
	}
}

// TestAliases: a definition is edited where nothing else would change with it,
// or all that would is meant to.
func TestAliases(t *testing.T) {
	both := pod("&i x:1") + "  - name: b\n    image: *i\n"
	tests := map[string]struct {
		in    string
		edits []edit.Edit
	}{
		"an extension field": {"x-image: &i x:1\n" + pod("*i"), []edit.Edit{setImage("x:2")}},
		"merged from an extension field": {"x-app: &a {name: app, image: 'x:1'}\n" + strings.Replace(pod("x"), "  - name: app\n    image: x\n", "  - <<: *a\n    tty: true\n", 1),
			[]edit.Edit{setImage("x:2")}},
		"both users":              {both, []edit.Edit{setImage("x:2"), {Workload: "default:pod/p", Container: "b", Image: "x:2"}}},
		"another value is shared": {strings.Replace(pod("x:1"), "name: p\n", "name: &n p\n  labels: {app: *n}\n", 1), []edit.Edit{setImage("x:2")}},
		"overridden where merged": {pod("x:1\n  - &b {image: x:1, name: b}\n  - {<<: *b, name: c, image: z}"),
			[]edit.Edit{setImage("x:2"), {Workload: "default:pod/p", Container: "b", Image: "x:2"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, errs := edit.Apply([]byte(tt.in), edit.Options{}, tt.edits)
			if err := errors.Join(errs...); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.ReplaceAll(tt.in, "x:1", "x:2"), string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("the others are made", func(t *testing.T) {
		in := both + "  - name: c\n    image: x:1\n"
		got, errs := edit.Apply([]byte(in), edit.Options{}, []edit.Edit{setImage("x:2"), {Workload: "default:pod/p", Container: "c", Image: "x:9"},
			{Workload: "default:pod/p", Container: "b", Image: "x:3"}})
		refused := func(err error) bool { _, ok := errors.AsType[*edit.RefusedError](err); return ok }
		if !refused(errs[0]) || errs[1] != nil || !refused(errs[2]) {
			t.Errorf("errors %v", errs)
		}
		if diff := cmp.Diff(both+"  - name: c\n    image: x:9\n", string(got)); diff != "" {
			t.Error(diff)
		}
	})
}

// TestGolden compares what Scan finds in testdata/*.yaml with the .found file
// beside it, and what a set of edits makes of it with the .edited file: each
// container gets the tag "1.10", each workload an annotation.
func TestGolden(t *testing.T) {
	names, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatal("no files", err)
	}
	o := edit.Options{Kinds: []edit.Kind{{Group: "example.com", Kind: "Pipeline", Containers: []string{"spec.tasks[*].container"},
		InitContainers: []string{`spec["init.tasks"]`}, Images: map[string]string{"tool": "spec.tool.image", "parts": "$.spec.parts"}}}}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			found := edit.Scan(data, o)
			golden(t, strings.TrimSuffix(name, ".yaml")+".found", describe(found))
			edited, _ := allEdits(found)
			out, errs := edit.Apply(data, o, edited)
			golden(t, strings.TrimSuffix(name, ".yaml")+".edited", string(out)+describeErrors(errs))
			again, _ := edit.Apply(out, o, edited)
			if diff := cmp.Diff(string(out), string(again)); diff != "" {
				t.Errorf("the same edits again:\n%s", diff)
			}
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: %s", name, diff)
	}
}

func describeErrors(errs []error) string {
	var lines []string
	for _, err := range errs {
		if err != nil {
			lines = append(lines, "# error: "+err.Error()+"\n")
		}
	}
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "")
}
