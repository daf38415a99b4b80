package edit_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
)

// TestPaths leads to an image by a path of each form.
func TestPaths(t *testing.T) {
	const object = "apiVersion: example.com/v1\nkind: Job\nmetadata: {name: j}\nspec:\n  a.b: [{image: 'x:1'}, {image: 'x:2'}]\n  c: {d: 'x:3', '0': 'x:4'}\n"
	tests := map[string]string{
		`spec["a.b"][0].image`: "x:1", `$.spec['a.b'].1.image`: "x:2", `.spec.c.d`: "x:3", `spec.c.0`: "x:4", `spec["a.b"][*].image`: "x:1 x:2",
		`spec["a.b"][7].image`: "", `spec.nope.nope`: "", `spec.c[0]`: "", `spec["a.b"].image`: "",
	}
	for path, want := range tests {
		t.Run(path, func(t *testing.T) {
			if err := edit.CheckPath(path); err != nil {
				t.Error(err)
			}
			o := edit.Options{Kinds: []edit.Kind{{Group: "example.com", Kind: "Job", Images: map[string]string{"app": path}}}}
			found := edit.Scan([]byte(object), o)
			var images []string
			for _, c := range found.Workloads[0].Containers {
				images = append(images, c.Image)
			}
			if got := strings.Join(images, " "); got != want {
				t.Errorf("%q, want %q", got, want)
			}
			out, errs := edit.Apply([]byte(object), o, []edit.Edit{{Workload: "default:job/j", Container: "app", Image: "y:9"}})
			edited := object
			for _, image := range images {
				edited = strings.Replace(edited, image, "y:9", 1)
			}
			if diff := cmp.Diff(edited, string(out)); diff != "" || (errs[0] == nil) != (len(images) > 0) {
				t.Errorf("%v\n%s", errs[0], diff)
			}
		})
	}
	for _, bad := range []string{"", "$", ".", "a..b", "a.", "a[", "a[x]", "a[-1]", `a["b]`, `a[""]`} {
		if err := edit.CheckPath(bad); err == nil {
			t.Errorf("%q is no path", bad)
		}
	}
}
