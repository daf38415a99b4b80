package main

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// guards are what a cluster's administrators put before objects: a quota, a
// webhook that is down, and a policy.
const guards = `apiVersion: v1
kind: ResourceQuota
metadata: {name: few, namespace: NS}
spec: {hard: {count/serviceaccounts: "0"}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: NS}
webhooks:
- name: down.example.com
  clientConfig: {url: "https://127.0.0.1:1/"}
  admissionReviewVersions: [v1]
  sideEffects: None
  rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [services]}]
  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NS}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: NS}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: NS}}
  validations: [{expression: "object.metadata.name != 'denied'", message: no such names here}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: NS}
spec: {policyName: NS, validationActions: [Deny]}
`

const rejected = `apiVersion: apps/v1
kind: Deployment
metadata: {name: misspelled, namespace: NS}
spec:
  replica: 1
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: "nginx:1"}]}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: Upper, namespace: NS}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: beyond-the-quota, namespace: NS}
---
apiVersion: v1
kind: Service
metadata: {name: unasked, namespace: NS}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: denied, namespace: NS}
`

// TestErrorsSayWhatToDo: each object that the cluster does not take has its own
// failure, in words that name the reason and what can be done.
func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := makeNamespace(t, target)
	applyOf(t, target, setOf(t, "guards", ns, guards))
	t.Cleanup(func() { deleteAll(t, target, "guards") })
	untilRejected(t, target, "configmaps", configMap(ns, "denied", "x"), "no such names here")
	untilRejected(t, target, "serviceaccounts", "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: any, namespace: "+ns+"}\n", "exceeded quota")

	huge := "---\n" + configMap(ns, "huge", strings.Repeat("x", 3_300_000))
	began := time.Now()
	results := applyOf(t, target, setOf(t, "shop", ns, rejected+huge))
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("rejections that stay took %s: they were repeated", took)
	}
	for ref, want := range map[string]struct{ reason, detail string }{
		"Deployment.apps/misspelled":      {"unknown field spec.replica", "correct it in the repository"},
		"ConfigMap/Upper":                 {"lowercase RFC 1123", "correct it in the repository"},
		"ServiceAccount/beyond-the-quota": {"exceeded quota: few", "Raise the ResourceQuota"},
		"Service/unasked":                 {`failed calling webhook "down.example.com"`, "webhook that the API server names does not answer"},
		"ConfigMap/denied":                {"no such names here", "policy forbids it"},
		"ConfigMap/huge":                  {"too large", "3 MB in one request"},
	} {
		r := results[ns+":"+ref]
		if r.Outcome != applier.Failed || r.Diagnostic == nil {
			t.Errorf("%s: %s %s, want a failure with a diagnostic", ref, r.Outcome, r.Reason)
			continue
		}
		if !strings.Contains(r.Reason, want.reason) || !strings.Contains(r.Diagnostic.Detail, want.detail) || r.Diagnostic.Subject == nil {
			t.Errorf("%s: %q: %q at %v, want %q: %q at a place", ref, r.Reason, r.Diagnostic.Detail, r.Diagnostic.Subject, want.reason, want.detail)
		}
		if strings.Contains(r.Diagnostic.Summary, ns+":") {
			t.Errorf("the summary repeats the object's name: %q", r.Diagnostic.Summary)
		}
	}

	set := applier.Set{Owner: "shop", Complete: true, Diff: true}
	set.Objects = itemsOf(t, map[string]string{"all.yaml": strings.ReplaceAll(rejected, "NS", ns) + "---\n" +
		namespaceManifest(ns+"-new") + "---\n" + configMap(ns+"-new", "good", "x") + "---\n" + configMap(ns+"-new", "bad", "1") + "---\n" +
		configMap("no-such-"+ns, "lost", "x") + "---\n" + configMap(ns, "good", "x")})
	plan := planOf(t, target, set)
	for ref, want := range map[string]applier.Action{
		ns + ":Deployment.apps/misspelled":      applier.Refused,
		ns + ":ConfigMap/Upper":                 applier.Refused,
		"no-such-" + ns + ":ConfigMap/lost":     applier.Refused,
		ns + ":ConfigMap/good":                  applier.Create,
		ns + "-new:ConfigMap/good":              applier.Create, // its namespace comes with it
		ns + "-new:ConfigMap/bad":               applier.Refused,
		ns + ":ServiceAccount/beyond-the-quota": applier.Create, // perhaps another one is deleted before
	} {
		if got := plan[ref]; got.Action != want {
			t.Errorf("plan: %s: %s (%s), want %s", ref, got.Action, got.Reason, want)
		} else if (got.Diff == "") != (want == applier.Refused) {
			t.Errorf("plan: %s: %s with the diff %q", ref, got.Action, got.Diff)
		}
	}
}

// untilRejected waits until an object is rejected in a dry run: it takes the
// API server a moment until a policy or a quota counts.
func untilRejected(t *testing.T, target *target, resource, manifest, phrase string) {
	t.Helper()
	u := decodeYAML(t, manifest)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for {
		_, err := target.client.Dynamic.Resource(gvr("", "v1", resource)).Namespace(u.GetNamespace()).
			Create(t.Context(), u, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil && strings.Contains(err.Error(), phrase) {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s is not rejected with %q: %v", resource, phrase, err)
		}
	}
}

// TestNamespaceGoesAway: an object for a namespace that is being deleted.
func TestNamespaceGoesAway(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := makeNamespace(t, target)
	holder := decodeYAML(t, configMap(ns, "holder", "x"))
	holder.SetFinalizers([]string{"example.com/hold"})
	configMaps := target.client.Dynamic.Resource(gvr("", "v1", "configmaps")).Namespace(ns)
	if _, err := configMaps.Create(t.Context(), holder, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := configMaps.Patch(ctxOf(t), "holder", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
			t.Error(err)
		}
	})
	if err := target.client.Dynamic.Resource(gvr("", "v1", "namespaces")).Delete(t.Context(), ns, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r := applyOf(t, target, setOf(t, "shop", ns, configMap(ns, "late", "x")))[ns+":ConfigMap/late"]
	if r.Outcome != applier.Failed || !strings.Contains(r.Reason, "is being terminated") || !strings.Contains(r.Diagnostic.Detail, "is being deleted, and takes nothing new") {
		t.Errorf("without its namespace in the set: %+v", r)
	}
	r = applyOf(t, target, setOf(t, "shop", ns, namespaceManifest(ns)+"---\n"+configMap(ns, "late", "x")))[ns+":ConfigMap/late"]
	if r.Outcome != applier.Skipped || !strings.Contains(r.Reason, "it needs Namespace/"+ns) || !strings.Contains(r.Reason, "it is being deleted") {
		t.Errorf("with its namespace in the set: %+v", r)
	}
}

// TestDefinitionGrows: a definition gets a field, and an object uses it in the
// same commit.
func TestDefinitionGrows(t *testing.T) {
	t.Parallel()
	target := realTarget(t, Config{})
	ns := makeNamespace(t, target)
	group := strings.ReplaceAll(ns, "-", "") + ".example.com"
	manifests := func(fields, spec string) applier.Set {
		return setOf(t, "shop", ns, strings.NewReplacer("GROUP", group, "FIELDS", fields, "SPEC", spec).Replace(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.GROUP}
spec:
  group: GROUP
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {FIELDS}}}}}}]
---
apiVersion: GROUP/v1
kind: Widget
metadata: {name: w, namespace: NS}
spec: {SPEC}
`))
	}
	t.Cleanup(func() { deleteAll(t, target, "shop") })
	ref := ns + ":Widget." + group + "/w"
	if r := applyOf(t, target, manifests("a: {type: string}", "a: x"))[ref]; r.Outcome != applier.Created {
		t.Fatalf("%+v, want created", r)
	}
	grown := manifests("a: {type: string}, b: {type: string}", "a: x, b: z")
	grown.Diff = true
	if c := planOf(t, target, grown)[ref]; c.Action != applier.Update {
		t.Errorf("plan: %s (%s), want update", c.Action, c.Reason)
	}
	if r := applyOf(t, target, grown)[ref]; r.Outcome != applier.Updated {
		t.Errorf("%+v, want updated", r)
	}
	got, err := target.client.Dynamic.Resource(gvr(group, "v1", "widgets")).Namespace(ns).Get(t.Context(), "w", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if spec, _ := got.Object["spec"].(map[string]any); spec["b"] != "z" {
		t.Errorf("the new field is lost: %v", got.Object["spec"])
	}
}
