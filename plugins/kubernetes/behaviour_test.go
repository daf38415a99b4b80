package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/inventory"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

const configMapIn = `apiVersion: v1
kind: ConfigMap
metadata: {name: NAME, namespace: NS}
data: {owner: OWNER}
`

func namespaceManifest(ns string) string {
	return "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + ns + "}\n"
}

func configMap(ns, name, value string) string {
	return strings.NewReplacer("NAME", name, "NS", ns, "OWNER", value).Replace(configMapIn)
}

// makeNamespace makes a namespace that no sync owns.
func makeNamespace(t *testing.T, target *target) string {
	t.Helper()
	ns := namespaceFor(t)
	if _, err := target.client.Dynamic.Resource(gvr("", "v1", "namespaces")).
		Create(t.Context(), decodeYAML(t, namespaceManifest(ns)), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return ns
}

func TestTwoOwners(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := makeNamespace(t, target)
	ref := ns + ":ConfigMap/shared"
	a, b := setOf(t, "alpha", ns, configMap(ns, "shared", "alpha")), setOf(t, "beta", ns, configMap(ns, "shared", "beta"))
	if got := applyOf(t, target, a)[ref].Outcome; got != applier.Created {
		t.Fatalf("alpha: %s", got)
	}
	change := planOf(t, target, b)[ref]
	if change.Action != applier.Refused || change.Diagnostic == nil {
		t.Fatalf("beta's plan: %+v", change)
	}
	for _, name := range []string{`"alpha"`, `"beta"`} {
		if !strings.Contains(change.Diagnostic.Summary, name) {
			t.Errorf("%q does not name %s", change.Diagnostic.Summary, name)
		}
	}
	if got := applyOf(t, target, b)[ref].Outcome; got != applier.Failed {
		t.Errorf("beta: %s, want failed", got)
	}
	if got := planOf(t, target, a)[ref].Action; got != applier.None {
		t.Errorf("alpha's second plan: %s, want none", got)
	}

	b.Adopt = true
	if got := applyOf(t, target, b)[ref].Outcome; got != applier.Updated {
		t.Errorf("beta with adopt: %s, want updated", got)
	}
	if got := planOf(t, target, a)[ref].Action; got != applier.Refused {
		t.Errorf("alpha after beta took over: %s, want refused", got)
	}
	none := setOf(t, "alpha", ns, "")
	if got := planOf(t, target, none); len(got) != 0 {
		t.Errorf("alpha without the object would touch beta's: %+v", got)
	}
	r := deleteOf(t, target, applier.Deletion{Owner: "alpha", Refs: []applier.Ref{change.Ref}})[ref]
	if r.Outcome != applier.Failed {
		t.Errorf("alpha deletes beta's object: %+v", r)
	}
}

// TestTwoOwnersAtOnce lets many owners race for one object: exactly one gets it.
func TestTwoOwnersAtOnce(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := makeNamespace(t, target)
	var mu sync.Mutex
	created := 0
	var wg sync.WaitGroup
	for n := range 8 {
		owner := fmt.Sprintf("racer-%d", n)
		set := setOf(t, owner, ns, configMap(ns, "prize", owner))
		wg.Go(func() {
			if _, err := target.Apply(t.Context(), set, func(r applier.Result) {
				mu.Lock()
				defer mu.Unlock()
				if r.Outcome == applier.Created || r.Outcome == applier.Updated {
					created++
				}
			}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if created != 1 {
		t.Errorf("%d owners got the object, want 1", created)
	}
}

func TestIgnoredObjects(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := makeNamespace(t, target)
	inFile := strings.Replace(configMap(ns, "in-file", "x"), "metadata: {", `metadata: {annotations: {flux.weave.works/ignore: "true"}, `, 1)
	set := setOf(t, "shop", ns, inFile+"---\n"+configMap(ns, "on-live", "x")+"---\n"+configMap(ns, "pruned", "x"))
	results := applyOf(t, target, set)
	if got := results[ns+":ConfigMap/in-file"]; got.Outcome != applier.Skipped || !strings.Contains(got.Reason, "flux.weave.works/ignore=true at all.yaml:1") {
		t.Errorf("ignored in the file: %+v", got)
	}
	annotate := []byte(`{"metadata":{"annotations":{"sluice.dev/ignore":"true"}},"data":{"owner":"by hand"}}`)
	for _, name := range []string{"on-live", "pruned"} {
		if _, err := target.client.Dynamic.Resource(gvr("", "v1", "configmaps")).Namespace(ns).
			Patch(t.Context(), name, types.MergePatchType, annotate, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	got := actions(planOf(t, target, setOf(t, "shop", ns, inFile+"---\n"+configMap(ns, "on-live", "x"))))
	want := map[string]applier.Action{
		ns + ":ConfigMap/in-file": applier.Ignored,
		ns + ":ConfigMap/on-live": applier.Ignored,
		ns + ":ConfigMap/pruned":  applier.Kept,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

// TestSyncOnly: the object is applied and updated, and stays when it leaves the
// repository.
func TestSyncOnly(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := makeNamespace(t, target)
	ref := ns + ":ConfigMap/a"
	withValue := func(value string) applier.Set {
		return setOf(t, "shop", ns, strings.Replace(configMap(ns, "a", value), "metadata: {", `metadata: {annotations: {fluxcd.io/ignore: sync_only}, `, 1))
	}
	if r := applyOf(t, target, withValue("x"))[ref]; r.Outcome != applier.Created {
		t.Fatalf("%+v, want created", r)
	}
	if r := applyOf(t, target, withValue("z"))[ref]; r.Outcome != applier.Updated {
		t.Errorf("changed file: %+v, want updated", r)
	}
	const why = "annotation fluxcd.io/ignore=sync_only on the live object"
	c := planOf(t, target, setOf(t, "shop", ns, ""))[ref]
	if c.Action != applier.Kept || c.Reason != why {
		t.Errorf("left the files: %+v, want kept because of the %s", c, why)
	}
	if r := deleteOf(t, target, applier.Deletion{Owner: "shop", Refs: []applier.Ref{c.Ref}})[ref]; r.Outcome != applier.Skipped || r.Reason != why {
		t.Errorf("deletion: %+v, want skipped because of the %s", r, why)
	}
}

// TestMovesToAnotherGroup: the API server serves events in two groups, and an
// event that is declared in the other one by now is not deleted.
func TestMovesToAnotherGroup(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := makeNamespace(t, target)
	const event = `kind: Event
metadata: {name: told, namespace: NS}
reason: Told
type: Normal
eventTime: "2026-01-01T00:00:00.000000Z"
reportingInstance: test
action: Tell
`
	before := setOf(t, "shop", ns, "apiVersion: v1\n"+event+"involvedObject: {namespace: NS}\nreportingComponent: example.com/test\n")
	if r := applyOf(t, target, before)[ns+":Event/told"]; r.Outcome != applier.Created {
		t.Fatalf("%+v, want created", r)
	}
	after := setOf(t, "shop", ns, "apiVersion: events.k8s.io/v1\n"+event+"regarding: {namespace: NS}\nreportingController: example.com/test\n")
	for range 2 {
		c := planOf(t, target, after)[ns+":Event/told"]
		if c.Action != applier.Kept || !strings.Contains(c.Reason, "the same object as "+ns+":Event.events.k8s.io/told") {
			t.Errorf("%+v, want it kept, being the same object", c)
		}
		applyOf(t, target, after)
	}
	if c := planOf(t, target, setOf(t, "shop", ns, ""))[ns+":Event/told"]; c.Action != applier.Prune {
		t.Errorf("wanted in no group: %+v, want prune", c)
	}
}

func TestIncompleteSetKeeps(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := makeNamespace(t, target)
	applyOf(t, target, setOf(t, "shop", ns, configMap(ns, "a", "x")+"---\n"+configMap(ns, "b", "x")))
	part := setOf(t, "shop", ns, configMap(ns, "a", "x"))
	part.Complete = false
	if c := planOf(t, target, part)[ns+":ConfigMap/b"]; c.Action != applier.Kept || c.Reason == "" {
		t.Errorf("incomplete: %+v, want kept", c)
	}
	applyOf(t, target, part)
	part.Complete = true
	if c := planOf(t, target, part)[ns+":ConfigMap/b"]; c.Action != applier.Prune {
		t.Errorf("complete again: %+v, want prune", c)
	}
}

// TestTakesOverFromKubectl starts from an object as kubectl apply leaves it: a
// field that is not in the manifest any more goes away.
func TestTakesOverFromKubectl(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := makeNamespace(t, target)
	live := strings.Replace(configMap(ns, "old", "kubectl"), "data: {", "data: {gone: soon, ", 1)
	u := decodeYAML(t, live)
	u.SetAnnotations(map[string]string{"kubectl.kubernetes.io/last-applied-configuration": "{}"})
	configMaps := target.client.Dynamic.Resource(gvr("", "v1", "configmaps")).Namespace(ns)
	if _, err := configMaps.Create(t.Context(), u, metav1.CreateOptions{FieldManager: "kubectl-client-side-apply"}); err != nil {
		t.Fatal(err)
	}
	set := setOf(t, "shop", ns, configMap(ns, "old", "sluice"))
	if r := applyOf(t, target, set)[ns+":ConfigMap/old"]; r.Outcome != applier.Updated {
		t.Fatalf("%+v, want updated", r)
	}
	got, err := configMaps.Get(t.Context(), "old", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"owner": "sluice"}, got.Object["data"]); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
	if a := got.GetAnnotations(); len(a) != 0 {
		t.Errorf("annotations left: %v", a)
	}
	if n := len(got.GetManagedFields()); n != 1 {
		t.Errorf("%d field managers left, want 1: %v", n, got.GetManagedFields())
	}
	if c := planOf(t, target, set)[ns+":ConfigMap/old"]; c.Action != applier.None {
		t.Errorf("second plan: %+v", c)
	}
}

const jobIn = `apiVersion: batch/v1
kind: Job
metadata: {name: migrate, namespace: NS}
spec:
  template:
    spec: {restartPolicy: POLICY, containers: [{name: m, image: "busybox:TAG"}]}
`

func TestRecreate(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := makeNamespace(t, target)
	job := func(policy, tag string) applier.Set {
		return setOf(t, "shop", ns, strings.NewReplacer("POLICY", policy, "TAG", tag).Replace(jobIn))
	}
	ref := ns + ":Job.batch/migrate"
	applyOf(t, target, job("Never", "1"))

	changed := job("Never", "2")
	r := applyOf(t, target, changed)[ref]
	if r.Outcome != applier.Failed || !strings.Contains(r.Reason, "immutable fields changed: spec.template") || !strings.Contains(r.Diagnostic.Detail, "recreate = true") {
		t.Errorf("without recreate: %+v", r)
	}
	invalid := job("Always", "2")
	invalid.Recreate = true
	r = applyOf(t, target, invalid)[ref]
	if r.Outcome != applier.Failed {
		t.Errorf("an invalid object was recreated: %+v", r)
	}
	if _, err := target.client.Dynamic.Resource(gvr("batch", "v1", "jobs")).Namespace(ns).Get(t.Context(), "migrate", metav1.GetOptions{}); err != nil {
		t.Fatalf("the live object is gone: %v", err)
	}
	changed.Recreate, changed.Diff = true, true
	if c := planOf(t, target, changed)[ref]; c.Action != applier.Recreate || !strings.Contains(c.Diff, "+      - image: busybox:2") {
		t.Errorf("plan with recreate: %+v", c)
	}
	if r := applyOf(t, target, changed)[ref]; r.Outcome != applier.Recreated {
		t.Errorf("with recreate: %+v", r)
	}
	if c := planOf(t, target, changed)[ref]; c.Action != applier.None {
		t.Errorf("plan after: %+v", c)
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := makeNamespace(t, target)
	withSecret := func(value string) applier.Set {
		set := setOf(t, "shop", ns, configMap(ns, "a", value)+"---\napiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: NS}\nstringData: {p: "+value+", same: constant}\n")
		set.Diff = true
		return set
	}
	applyOf(t, target, withSecret("first-value"))
	changes := planOf(t, target, withSecret("second-value"))
	c, s := changes[ns+":ConfigMap/a"], changes[ns+":Secret/s"]
	if !strings.Contains(c.Diff, "-  owner: first-value\n+  owner: second-value\n") {
		t.Errorf("diff of the ConfigMap:\n%s", c.Diff)
	}
	for _, noise := range []string{"managedFields", "resourceVersion", "uid", "applyset"} {
		if strings.Contains(c.Diff, noise) {
			t.Errorf("diff holds %s:\n%s", noise, c.Diff)
		}
	}
	if !strings.Contains(s.Diff, "-  p: (redacted, before)\n+  p: (redacted, after)\n") {
		t.Errorf("diff of the Secret:\n%s", s.Diff)
	}
	for _, v := range []string{"first-value", "second-value", "constant"} {
		if strings.Contains(s.Diff, v) || strings.Contains(s.Diff, base64.StdEncoding.EncodeToString([]byte(v))) {
			t.Errorf("diff shows the secret %s:\n%s", v, s.Diff)
		}
	}
}

// TestRejectedObjects: one object's rejection harms only those that need it,
// and a Secret's content stays out of the message.
func TestRejectedObjects(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := makeNamespace(t, target)
	group := strings.ReplaceAll(ns, "-", "") + ".example.com"
	crd := `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: wrongname.GROUP}
spec:
  group: GROUP
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
---
apiVersion: GROUP/v1
kind: Widget
metadata: {name: w, namespace: NS}
---
`
	set := setOf(t, "shop", ns, strings.ReplaceAll(crd, "GROUP", group)+configMap(ns, "good", "x")+`---
apiVersion: v1
kind: Secret
metadata: {name: bad, namespace: NS}
data: {p: "hunter2-is-not-base64!"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: lost, namespace: no-such-namespace-`+ns+`}
`)
	results := applyOf(t, target, set)
	want := map[string]applier.Outcome{
		"CustomResourceDefinition.apiextensions.k8s.io/wrongname." + group: applier.Failed,
		ns + ":Widget." + group + "/w":                                     applier.Skipped,
		ns + ":ConfigMap/good":                                             applier.Created,
		ns + ":Secret/bad":                                                 applier.Failed,
		"no-such-namespace-" + ns + ":ConfigMap/lost":                      applier.Failed,
	}
	if diff := cmp.Diff(want, outcomes(results)); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	if text := fmt.Sprint(results[ns+":Secret/bad"]); strings.Contains(text, "hunter2") {
		t.Errorf("the secret is in the result: %s", text)
	}
	if r := results[ns+":Widget."+group+"/w"]; !strings.Contains(r.Reason, "wrongname."+group) {
		t.Errorf("the reason does not name the definition: %q", r.Reason)
	}
}

func TestDamagedInventory(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := makeNamespace(t, target)
	both := configMap(ns, "a", "x") + "---\n" + configMap(ns, "b", "x")
	applyOf(t, target, setOf(t, "shop", ns, both))
	inventories := target.client.Dynamic.Resource(gvr("", "v1", "configmaps")).Namespace(target.config.InventoryNamespace)
	for name, damage := range map[string]func() error{
		"edited by hand": func() error {
			_, err := inventories.Patch(t.Context(), inventory.Name("shop"), types.MergePatchType, []byte(`{"data":{"objects":"{\"ref\":"}}`), metav1.PatchOptions{})
			return err
		},
		"lost its checksum": func() error {
			_, err := inventories.Patch(t.Context(), inventory.Name("shop"), types.MergePatchType, []byte(`{"metadata":{"annotations":{"sluice.dev/checksum":null}}}`), metav1.PatchOptions{})
			return err
		},
		"lost altogether": func() error {
			return inventories.Delete(t.Context(), inventory.Name("shop"), metav1.DeleteOptions{})
		},
		"lost a shard": func() error {
			_, err := inventories.Patch(t.Context(), inventory.Name("shop"), types.MergePatchType, []byte(`{"metadata":{"annotations":{"sluice.dev/shards":"2"}}}`), metav1.PatchOptions{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := damage(); err != nil {
				t.Fatal(err)
			}
			less := setOf(t, "shop", ns, configMap(ns, "a", "x"))
			warned := false
			for ref, c := range planOf(t, target, less) {
				if c.Action == applier.Prune {
					t.Errorf("%s would be pruned", ref)
				}
				warned = warned || c.Diagnostic != nil
			}
			if !warned {
				t.Error("nothing tells of the damage")
			}
			applyOf(t, target, less)
			if c := planOf(t, target, less)[ns+":ConfigMap/b"]; c.Action != applier.Prune {
				t.Errorf("after the inventory was written anew: %+v, want prune", c)
			}
			applyOf(t, target, setOf(t, "shop", ns, both))
		})
	}
}

func TestSecretStore(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ref := applier.SecretRef{Name: "flux-git-deploy", Key: "identity"}
	if _, err := target.ReadSecret(t.Context(), ref); !errors.Is(err, applier.ErrNoSecret) {
		t.Fatalf("read of nothing: %v", err)
	}
	other := ref
	other.Key = "other"
	for _, w := range []struct {
		ref   applier.SecretRef
		value string
	}{{ref, "one"}, {other, "two"}, {ref, "three"}} {
		if err := target.WriteSecret(t.Context(), w.ref, secret.New(w.value)); err != nil {
			t.Fatal(err)
		}
	}
	for r, want := range map[applier.SecretRef]string{ref: "three", other: "two"} {
		if got, err := target.ReadSecret(t.Context(), r); err != nil || got.Reveal() != want {
			t.Errorf("%s: %q, %v; want %q", r.Key, got.Reveal(), err, want)
		}
	}
}
