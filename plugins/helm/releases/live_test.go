package releases

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

const several = configMapTemplate + `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  replicas: 2
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      containers:
      - {name: app, image: "example.com/app:1", resources: {limits: {cpu: 1000m}}}
---
apiVersion: v1
kind: Secret
metadata: {name: keys}
stringData: {password: {{ .Values.password }}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: {{ .Release.Namespace }}-reader}
rules: []
`

// TestCompare: what differs from the release is told and made right, without
// a new revision; what the API server or others added is no difference.
func TestCompare(t *testing.T) {
	t.Parallel()
	m, ns := real(t)
	ctx := t.Context()
	r := simple(t, ns, "one")
	r.Chart = chartOf(t, map[string]string{"templates/all.yaml": several})
	r.Values = secret.New(`{"greeting": "one", "password": "hunter2"}`)
	if _, err := m.Upgrade(ctx, r, nil); err != nil {
		t.Fatal(err)
	}
	compare := func(c helm.Comparison) []string {
		t.Helper()
		c.Ref = r.Ref
		var list []string
		if err := m.Compare(ctx, c, func(c helm.Change) {
			list = append(list, strings.TrimSpace(c.Action+" "+c.Kind+" "+c.Problem))
			if strings.Contains(c.Diff, "aHVudGVy") || strings.Contains(c.Diff, "Y2hhbmdlZA") {
				t.Errorf("a secret stands in %s", c.Diff)
			}
		}); err != nil {
			t.Fatal(err)
		}
		slices.Sort(list)
		return list
	}
	if got := compare(helm.Comparison{}); got != nil {
		t.Errorf("right after the install: %v", got)
	}
	core := m.api(t).CoreV1()
	patch := func(kind, text string) {
		t.Helper()
		var err error
		switch kind {
		case "ConfigMap":
			_, err = core.ConfigMaps(ns).Patch(ctx, "web", types.MergePatchType, []byte(text), metav1.PatchOptions{FieldManager: "kubectl-edit"})
		case "Secret":
			_, err = core.Secrets(ns).Patch(ctx, "keys", types.MergePatchType, []byte(text), metav1.PatchOptions{FieldManager: "kubectl-edit"})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	patch("ConfigMap", `{"data": {"mine": "x"}, "metadata": {"labels": {"mine": "x"}}}`)
	if got := compare(helm.Comparison{}); got != nil {
		t.Errorf("fields of others: %v", got)
	}
	patch("ConfigMap", `{"data": {"greeting": null}}`)
	patch("Secret", `{"data": {"password": "Y2hhbmdlZA=="}}`)
	if err := m.api(t).AppsV1().Deployments(ns).Delete(ctx, "app", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	all := []string{"create Deployment", "update ConfigMap", "update Secret"}
	if diff := cmp.Diff(all, compare(helm.Comparison{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	ignored := compare(helm.Comparison{Ignore: []helm.Ignore{{Kind: "ConfigMap", Paths: []string{"/data/greeting"}}, {Name: "keys"}}})
	if diff := cmp.Diff([]string{"create Deployment"}, ignored); diff != "" {
		t.Errorf("ignoring (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(all, compare(helm.Comparison{Correct: true})); diff != "" {
		t.Errorf("correcting (-want +got):\n%s", diff)
	}
	if got := compare(helm.Comparison{}); got != nil {
		t.Errorf("corrected: %v", got)
	}
	if rev, err := m.Status(ctx, r.Ref); err != nil || rev.Number != 1 {
		t.Errorf("Status = %+v, %v", rev, err)
	}
	if err := m.Uninstall(ctx, helm.Uninstall{Ref: r.Ref}, nil); err != nil {
		t.Error(err)
	}
}

// TestIgnoredStays: a field that is to be ignored, or that an autoscaler has
// set, keeps the value it has when another field of its object is corrected.
func TestIgnoredStays(t *testing.T) {
	t.Parallel()
	m, ns := real(t)
	ctx := t.Context()
	r := simple(t, ns, "one")
	r.Chart = chartOf(t, map[string]string{"templates/all.yaml": several})
	r.Values = secret.New(`{"greeting": "one", "password": "hunter2"}`)
	if _, err := m.Upgrade(ctx, r, nil); err != nil {
		t.Fatal(err)
	}
	deployments, secrets := m.api(t).AppsV1().Deployments(ns), m.api(t).CoreV1().Secrets(ns)
	edit := func(kind, text string) {
		t.Helper()
		by := metav1.PatchOptions{FieldManager: "kubectl-edit"}
		var err error
		if kind == "Secret" {
			_, err = secrets.Patch(ctx, "keys", types.StrategicMergePatchType, []byte(text), by)
		} else {
			_, err = deployments.Patch(ctx, "app", types.StrategicMergePatchType, []byte(text), by)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	state := func() string {
		t.Helper()
		d, err := deployments.Get(ctx, "app", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := secrets.Get(ctx, "keys", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		c := d.Spec.Template.Spec.Containers[0]
		return fmt.Sprintf("%d %s %s %s %q", *d.Spec.Replicas, c.Image, d.Labels["app.kubernetes.io/managed-by"], s.Labels["app.kubernetes.io/managed-by"], s.Data)
	}
	correct := func(want string, paths ...string) {
		t.Helper()
		edit("Deployment", `{"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "example.com/app:edited"}]}}}}`)
		edit("Secret", `{"metadata": {"labels": {"app.kubernetes.io/managed-by": "me"}}}`)
		c := helm.Comparison{Ref: r.Ref, Correct: true, Ignore: []helm.Ignore{{Kind: "Deployment", Paths: paths}, {Kind: "Secret", Paths: []string{"/data/password"}}}}
		if err := m.Compare(ctx, c, func(c helm.Change) {
			if c.Problem != "" {
				t.Error(c.Kind, c.Problem)
			}
		}); err != nil {
			t.Fatal(err)
		}
		if got := state(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	correct(`2 example.com/app:1 Helm Helm map["password":"hunter2"]`, "/spec/replicas", "/spec/paused")
	edit("Secret", `{"data": {"password": "ZWRpdGVk"}}`)
	edit("Deployment", `{"spec": {"replicas": 7}}`)
	correct(`7 example.com/app:1 Helm Helm map["password":"edited"]`, "/spec/replicas")
	edit("Deployment", `{"spec": {"replicas": 3}}`)
	correct(`3 example.com/app:1 Helm Helm map["password":"edited"]`, "/spec/replicas")
	edit("Deployment", `{"spec": {"template": {"spec": {"containers": [{"name": "app", "image": "example.com/app:2"}]}}}}`)
	correct(`3 example.com/app:edited Helm Helm map["password":"edited"]`, "/spec/replicas", "/spec/template/spec/containers/0/image")
	edit("Deployment", `{"metadata": {"labels": {"app.kubernetes.io/managed-by": null}}}`)
	correct(`3 example.com/app:1  Helm map["password":"edited"]`, "/spec/replicas", "/metadata/labels/app.kubernetes.io~1managed-by")
	scale := autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: "app"}, Spec: autoscalingv1.ScaleSpec{Replicas: 5}}
	if _, err := deployments.UpdateScale(ctx, "app", &scale, metav1.UpdateOptions{FieldManager: "autoscaler"}); err != nil {
		t.Fatal(err)
	}
	correct(`5 example.com/app:1 Helm Helm map["password":"edited"]`, "/spec/paused")
	correct(`5 example.com/app:1 Helm Helm map["password":"edited"]`, "/spec/paused")
}

// crd defines kinds of the test's own, as definitions belong to the cluster.
func crd(ns, version string) string {
	return fmt.Sprintf(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.%s.example.com}
spec:
  group: %[1]s.example.com
  names: {kind: Thing, plural: things}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, description: %q, x-kubernetes-preserve-unknown-fields: true}}
`, ns, version)
}

func TestDefinitions(t *testing.T) {
	t.Parallel()
	m, ns := real(t)
	ctx := t.Context()
	r := simple(t, ns, "one")
	chart := func(version string) string {
		return chartOf(t, map[string]string{
			"crds/thing.yaml":      crd(ns, version),
			"templates/thing.yaml": "apiVersion: " + ns + ".example.com/v1\nkind: Thing\nmetadata: {name: a}\nspec: {known: {{ .Capabilities.APIVersions.Has \"" + ns + ".example.com/v1/Thing\" }}}\n",
		})
	}
	described := func() string {
		t.Helper()
		raw, err := m.api(t).CoreV1().RESTClient().Get().AbsPath("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things." + ns + ".example.com").DoRaw(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(raw), `"openAPIV3Schema":{"description":"`)
		text, _, _ := strings.Cut(rest, `"`)
		return text
	}
	t.Cleanup(func() {
		_, err := m.api(t).CoreV1().RESTClient().Delete().AbsPath("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things." + ns + ".example.com").DoRaw(t.Context())
		_ = err // the test's context has ended; the cluster is the tests' own
	})
	for _, step := range []struct {
		policy  helm.CRDs
		version string
		want    string
	}{{helm.CRDsCreate, "1", "1"}, {helm.CRDsCreate, "2", "1"}, {helm.CRDsSkip, "2", "1"}, {helm.CRDsReplace, "2", "2"}} {
		r.Chart, r.CRDs = chart(step.version), step.policy
		if _, err := m.Upgrade(ctx, r, nil); err != nil {
			t.Fatal(err)
		}
		if got := described(); got != step.want {
			t.Errorf("%q leaves version %q, want %q", step.policy, got, step.want)
		}
	}
	content, err := m.Content(ctx, r.Ref, 1)
	if err != nil || !strings.Contains(content.Manifest.Reveal(), "known: true") {
		t.Errorf("the templates did not see the definition: %v\n%s", err, content.Manifest.Reveal())
	}
}

// TestLargeValues: those of 5 MB, most of which compresses well.
func TestLargeValues(t *testing.T) {
	t.Parallel()
	m, ns := real(t)
	r := simple(t, ns, "one")
	r.Values = secret.New(`{"greeting": "one", "large": "` + strings.Repeat("words and words ", 5<<20/16) + `"}`)
	if rev, err := m.Upgrade(t.Context(), r, nil); err != nil || rev.Number != 1 {
		t.Errorf("Upgrade = %+v, %v", rev, err)
	}
}

func TestReuseValues(t *testing.T) {
	t.Parallel()
	m, ns := real(t)
	r := simple(t, ns, "one")
	if _, err := m.Upgrade(t.Context(), r, nil); err != nil {
		t.Fatal(err)
	}
	r.Values, r.ReuseValues = secret.New(`{"more": 1}`), true
	if _, err := m.Upgrade(t.Context(), r, nil); err != nil {
		t.Fatal(err)
	}
	content, err := m.Content(t.Context(), r.Ref, 2)
	if err != nil || content.Values.Reveal() != `{"greeting":"one","more":1}` {
		t.Errorf("values %s, %v", content.Values.Reveal(), err)
	}
}

// TestObjectsOfOthers: an object that is there already is left alone, unless
// it may be taken over.
func TestObjectsOfOthers(t *testing.T) {
	t.Parallel()
	m, ns := real(t)
	r := simple(t, ns, "one")
	other := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Data: map[string]string{"greeting": "mine"}}
	if _, err := m.api(t).CoreV1().ConfigMaps(ns).Create(t.Context(), other, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Upgrade(t.Context(), r, nil); err == nil || !strings.Contains(err.Error(), `ConfigMap "web"`) {
		t.Errorf("got %v", err)
	}
	r.TakeOwnership = true
	if _, err := m.Upgrade(t.Context(), r, nil); err != nil {
		t.Error(err)
	}
}

// TestTests: a test that passes on the cluster's simulated nodes.
func TestTests(t *testing.T) {
	t.Parallel()
	m, ns := real(t)
	r := simple(t, ns, "one")
	job := "apiVersion: batch/v1\nkind: Job\nmetadata: {name: check, annotations: {helm.sh/hook: test}}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: \"example.com/c:1\"}]}}}\n"
	r.Chart = chartOf(t, map[string]string{"templates/cm.yaml": configMapTemplate, "templates/job.yaml": job})
	if _, err := m.Plan(t.Context(), r, func(c helm.Change) {
		if c.Kind == "Job" {
			t.Errorf("a test is planned: %+v", c)
		}
	}); err != nil {
		t.Error(err)
	}
	if _, err := m.Upgrade(t.Context(), r, nil); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var events []string
	err := m.Test(t.Context(), helm.Test{Ref: r.Ref, Cleanup: true}, func(e helm.Event) {
		mu.Lock()
		defer mu.Unlock()
		if strings.HasPrefix(e.Message, "test ") {
			events = append(events, e.Message+" "+e.Object)
		}
	})
	if err != nil || !cmp.Equal(events, []string{"test passed Job/check"}) {
		t.Errorf("Test: %v, events %v", err, events)
	}
	if rev, err := m.Status(t.Context(), r.Ref); err != nil || rev.Tests != "passed" {
		t.Errorf("Status = %+v, %v", rev, err)
	}
}

// TestTestThatNeverEnds: the error names the hook and how long it had, in one
// line, and so does the progress.
func TestTestThatNeverEnds(t *testing.T) {
	t.Parallel()
	m, ns := real(t)
	r := withHook(t, simple(t, ns, "one"), "test")
	if _, err := m.Upgrade(t.Context(), r, nil); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var events []string
	err := m.Test(t.Context(), helm.Test{Ref: r.Ref, Timeout: time.Second}, func(e helm.Event) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, e.Object+": "+e.Message)
	})
	want := "release " + ns + "/web: test: hook Pod/web-hook is not done within 1s: Pod in progress"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if !slices.Contains(events, "Pod/web-hook: waiting for the hook") {
		t.Errorf("events: %q", events)
	}
}

// TestNotReady: the error of a release that does not get ready names the object.
func TestNotReady(t *testing.T) {
	t.Parallel()
	m, ns := real(t)
	r := simple(t, ns, "one")
	pod := strings.Replace(hangingHook, `  annotations: {helm.sh/hook: "EVENTS"}`+"\n", "", 1)
	r.Chart = chartOf(t, map[string]string{"templates/pod.yaml": pod})
	r.Wait, r.Timeout = helm.WaitReady, time.Second
	_, err := m.Upgrade(t.Context(), r, nil)
	if want := "not ready within 1s: Pod/" + ns + "/web-hook: "; err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want %s", err, want)
	}
}
