package blockimages

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/tree"
)

// valuesOf are those of a release called front, of files in this order, weakest
// first, and of the block.
func valuesOf(t *testing.T, block string, files ...string) Values {
	t.Helper()
	v := Values{Tree: &tree.Tree{Dir: t.TempDir(), Digest: "d"}, Config: &config.Config{}}
	v.Block.Address, v.Block.Namespace, v.Block.ReleaseName = "release.web", "shop", "front"
	if block != "" {
		v.Block.Values.JSON = []byte(block)
	}
	for i, text := range files {
		name := fmt.Sprintf("%d.yaml", i)
		if err := os.WriteFile(filepath.Join(v.Tree.Dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		v.Block.From = append(v.Block.From, config.ValuesFrom{Source: "source.git.shop", Path: name})
	}
	return v
}

// TestImages: an image counts as all values come to it, and says where it stands,
// or why it cannot be changed.
func TestImages(t *testing.T) {
	const base = "image: web:1\napi:\n  image: {repository: api, tag: \"1\"}\nworker:\n  image: worker:1\n"
	for name, tt := range map[string]struct {
		values Values
		want   map[string]string // by container: image, and place or reason
	}{
		"a file": {valuesOf(t, "", base), map[string]string{
			"chart-image": "web:1 0.yaml:1", "api": "api:1 0.yaml:3", "worker": "worker:1 0.yaml:5",
		}},
		"a stronger file has all of one, and a part of another": {valuesOf(t, "", base, "image: web:2\napi: {image: {tag: \"2\"}}\n"), map[string]string{
			"chart-image": "web:2 1.yaml:1", "api": "api:2 only a part of it stands at 1.yaml:2", "worker": "worker:1 0.yaml:5",
		}},
		"the block is stronger": {valuesOf(t, `{"worker":{"image":"worker:2"}}`, base), map[string]string{
			"chart-image": "web:1 0.yaml:1", "api": "api:1 0.yaml:3", "worker": "worker:2 it is in the values of release.web itself",
		}},
		"nothing": {valuesOf(t, ""), map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := tt.values.Images(t.Context(), nil)
			if err != nil || len(found.Problems) > 0 {
				t.Fatalf("%v, %v", found.Problems, err)
			}
			got := map[string]string{}
			for _, w := range found.Workloads {
				if w.ID != "shop:release/front" {
					t.Errorf("the workload is %s", w.ID)
				}
				for _, c := range w.Containers {
					got[c.Name] = c.Image + " " + place(c)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func place(c edit.Container) string {
	if c.Fixed == "" {
		return fmt.Sprintf("%s:%d", c.File, c.Line)
	}
	reason, _, _ := strings.Cut(c.Fixed, ", at ")
	return reason
}

// TestUnreadableFile: a file that is no YAML is a problem with its place, and
// the others count.
func TestUnreadableFile(t *testing.T) {
	v := valuesOf(t, "", "image: web:1\n", "image: [\n")
	found, err := v.Images(t.Context(), nil)
	if err != nil || len(found.Problems) == 0 || found.Problems[0].Subject.File != "1.yaml" {
		t.Errorf("%v, %v", found.Problems, err)
	}
}

// TestEdit: an edit changes the file that the image stands in and nothing else;
// what a block cannot have is refused.
func TestEdit(t *testing.T) {
	v := valuesOf(t, "", "image: web:1 # the web\n", "api: {image: 'api:1'}\n")
	changes, errs := v.Edit(t.Context(), nil, []edit.Edit{
		{Workload: v.ID(), Container: "api", Image: "api:2", From: "api:1"},
		{Workload: v.ID(), Set: map[string]string{"fluxcd.io/locked": "true"}},
		{Workload: v.ID(), Container: "none", Image: "none:2"},
	})
	got := map[string]string{}
	for _, c := range changes {
		got[c.Path] = string(c.New)
	}
	if want := map[string]string{"1.yaml": "api: {image: 'api:2'}\n"}; !maps.Equal(got, want) {
		t.Errorf("changed %q, want %q", got, want)
	}
	var failed []int
	for i, err := range errs {
		if err != nil {
			failed = append(failed, i)
		}
	}
	if !slices.Equal(failed, []int{1, 2}) || !strings.Contains(errs[1].Error(), "which has no annotations") {
		t.Errorf("errors %v", errs)
	}
}
