package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestDefinitionsFiles: the files that people apply without having Sluice are
// what Sluice prints.
func TestDefinitionsFiles(t *testing.T) {
	for name, all := range map[string]bool{"crds.yaml": false, "crds-all.yaml": true} {
		file := filepath.Join("..", "..", "..", "examples", "install", name)
		if *update {
			if err := os.WriteFile(file, CRDs(all), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatalf("%v: make it with go test -update", err)
		}
		if diff := cmp.Diff(string(want), string(CRDs(all))); diff != "" {
			t.Errorf("%s is out of date, see -update (-file +printed):\n%s", file, diff)
		}
	}
}

// TestDefinitionsMatchKinds: each kind that is followed is defined, in the
// version that is understood.
func TestDefinitionsMatchKinds(t *testing.T) {
	var got []applier.VersionedKind
	dec := yaml.NewDecoder(bytes.NewReader(CRDs(true)))
	for {
		var d struct {
			Metadata struct{ Name string }
			Spec     struct {
				Group    string
				Names    struct{ Kind, Plural string }
				Versions []struct{ Name string }
			}
		}
		if dec.Decode(&d) != nil {
			break
		}
		if d.Metadata.Name != d.Spec.Names.Plural+"."+d.Spec.Group || len(d.Spec.Versions) != 1 {
			t.Fatalf("%+v", d)
		}
		got = append(got, applier.VersionedKind{Group: d.Spec.Group, Version: d.Spec.Versions[0].Name, Kind: d.Spec.Names.Kind})
	}
	if diff := cmp.Diff(Kinds(), got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestSchemaAndParseKnowTheSameFields: testdata/everything.yaml has each field
// of each schema and no other, and Parse knows them all.
func TestSchemaAndParseKnowTheSameFields(t *testing.T) {
	used := map[string]map[string]bool{}
	for _, o := range everything(t) {
		r, err := Parse(encode(o), Options{Charts: Charts{Source: "source.git.a"}, CrossNamespace: true})
		if err != nil || len(r.Warnings) > 0 {
			t.Errorf("%s: %v, %v", r.ID("a"), err, r.Warnings)
		}
		if used[r.Ref.Group] == nil {
			used[r.Ref.Group] = map[string]bool{}
		}
		collect(o["spec"], "spec", used[r.Ref.Group])
	}
	for _, d := range definitions() {
		defined := map[string]bool{}
		d.Spec.Versions[0].Schema.Root.Properties["spec"].collect("spec", defined)
		if diff := cmp.Diff(defined, used[d.Spec.Group]); diff != "" {
			t.Errorf("%s: -schema +everything.yaml:\n%s", d.Metadata.Name, diff)
		}
	}
}

// collect notes the paths of all fields; what is below values has no schema.
func collect(v any, path string, paths map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for name, field := range v {
			if paths[path+"."+name] = true; name != "values" {
				collect(field, path+"."+name, paths)
			}
		}
	case []any:
		for _, item := range v {
			collect(item, path, paths)
		}
	}
}

func (s *schema) collect(path string, paths map[string]bool) {
	if s == nil {
		return
	}
	s.Items.collect(path, paths)
	for name, field := range s.Properties {
		paths[path+"."+name] = true
		field.collect(path+"."+name, paths)
	}
}

// everything returns the resources of testdata/everything.yaml, in the
// namespace demo.
func everything(t *testing.T) []map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "everything.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var o map[string]any
		if err := dec.Decode(&o); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		o["metadata"].(map[string]any)["namespace"] = "demo"
		all = append(all, o)
	}
}

// TestStatusHasASchema: each field that is written is defined.
func TestStatusHasASchema(t *testing.T) {
	full := Status{
		ObservedGeneration: 1, Phase: "Failed", ReleaseName: "a", ReleaseStatus: "a", Revision: "a", LastAttemptedRevision: "a", RollbackCount: 1,
		Conditions: []Condition{{Type: Released, Status: True, LastUpdateTime: "a", LastTransitionTime: "a", Reason: "a", Message: "a"}},
		State:      "a", Chart: "a", ChartDigest: "a", HelmRevision: 1, Drift: []string{"a"}, Warnings: []string{"a"},
		Suspended: &Suspension{By: "a", Reason: "a", Since: time.Unix(1, 0), Until: time.Unix(1, 0)},
	}
	var v any
	if err := json.Unmarshal(encode(full), &v); err != nil {
		t.Fatal(err)
	}
	written, defined := map[string]bool{}, map[string]bool{}
	collect(v, "status", written)
	statusSchema().collect("status", defined)
	if diff := cmp.Diff(defined, written); diff != "" {
		t.Errorf("-schema +written:\n%s", diff)
	}
}
