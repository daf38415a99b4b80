package resources

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
)

const held = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.%[1]s, finalizers: [sluice.dev/test]}
spec:
  group: %[1]s
  scope: Namespaced
  names: {plural: boats, singular: boat, kind: Boat, listKind: BoatList}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
`

// TestCauseOfTheSameSecond: timestamps of deletions have whole seconds. That a
// definition is not being deleted says nothing of what is deleted later in the
// same second, perhaps along with it.
func TestCauseOfTheSameSecond(t *testing.T) {
	t.Parallel()
	kubeconfig := os.Getenv("SLUICE_TEST_KUBECONFIG")
	if kubeconfig == "" {
		t.Skip("SLUICE_TEST_KUBECONFIG names no kubeconfig; `make test` starts a cluster and sets it")
	}
	client, err := cluster.Connect(cluster.Options{Kubeconfig: kubeconfig, UserAgent: "sluice-test-" + t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	ctx := t.Context()
	group := fmt.Sprintf("cause%d.example.com", time.Now().UnixNano())
	var definition unstructured.Unstructured
	if err := yaml.Unmarshal(fmt.Appendf(nil, held, group), &definition.Object); err != nil {
		t.Fatal(err)
	}
	crds := client.Dynamic.Resource(definitions)
	if _, err := crds.Create(ctx, &definition, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c := newCauses(New(Options{Client: client, Log: hclog.NewNullLogger()}))
	var served cluster.Served
	served.GroupVersionKind, served.Resource = schema.GroupVersionKind{Group: group, Version: "v1", Kind: "Boat"}, "boats"
	second := time.Now().Truncate(time.Second)
	want := func(what string, deleted time.Time, want bool) {
		t.Helper()
		at := metav1.NewTime(deleted)
		if got, err := c.of(ctx, served, &metav1.ObjectMeta{Name: what, DeletionTimestamp: &at}); err != nil || got.definition != want {
			t.Errorf("%s: %+v, %v; want %v", what, got, err, want)
		}
	}
	want("by itself", second, false)
	if err := crds.Delete(ctx, definition.GetName(), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	want("long before the definition", second.Add(-time.Second), false)
	want("along with it", second, true)
	patch := []byte(`{"metadata":{"finalizers":null}}`)
	if _, err := crds.Patch(ctx, definition.GetName(), "application/merge-patch+json", patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	want("along with it, and seen later", second, true)
}
