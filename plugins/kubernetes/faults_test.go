package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// apps makes n apps of five objects each (Deployment without replicas, Service,
// ConfigMap, ServiceAccount, HPA), spread over the namespaces.
func apps(n int, namespaces ...string) map[string]string {
	files := map[string]string{}
	for _, ns := range namespaces {
		files["00-"+ns+".yaml"] = namespaceManifest(ns)
	}
	for i := range n {
		ns, name := namespaces[i%len(namespaces)], fmt.Sprintf("app-%03d", i)
		files[name+".yaml"] = strings.NewReplacer("NS", ns, "NAME", name).Replace(appManifest)
	}
	return files
}

const appManifest = `apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, namespace: NS, labels: {app: NAME}}
spec:
  replicas: 0
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      serviceAccountName: NAME
      containers:
      - name: main
        image: registry.example.com/NAME:1.0.0
        ports: [{name: http, containerPort: 8080}]
        env: [{name: LOG_LEVEL, value: info}]
        resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {memory: 128Mi}}
---
apiVersion: v1
kind: Service
metadata: {name: NAME, namespace: NS}
spec: {selector: {app: NAME}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: NAME, namespace: NS}
data: {config.yaml: "name: NAME"}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: NAME, namespace: NS}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: NAME, namespace: NS}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: NAME}
  minReplicas: 1
  maxReplicas: 3
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
`

// TestRequests gates what the engine costs in requests, on the 1,004 objects
// of the performance budget.
func TestRequests(t *testing.T) {
	t.Parallel()
	n := 200
	if testing.Short() {
		n = 20
	}
	p, kubeconfig := newProxy(t)
	target := realTarget(t, Config{Kubeconfig: kubeconfig})
	var namespaces []string
	for range 4 {
		namespaces = append(namespaces, namespaceFor(t))
	}
	files := apps(n, namespaces...)
	set := applier.Set{Owner: "bench", Complete: true, Objects: itemsOf(t, files)}
	objects := 5*n + len(namespaces)

	measure := func(what string, run func()) map[string]int {
		p.take()
		began := time.Now()
		run()
		counts := p.take()
		t.Logf("%-14s %5d objects: %v, %d requests in all, %s", what, objects, counts, total(counts), time.Since(began).Round(time.Millisecond))
		return counts
	}
	planned := measure("first plan", func() { planOf(t, target, set) })
	first := measure("first apply", func() {
		for ref, r := range applyOf(t, target, set) {
			if r.Outcome != applier.Created {
				t.Errorf("%s: %+v", ref, r)
			}
		}
	})
	if sum := total(planned) + total(first); first["apply"] != objects || sum > objects+50 {
		t.Errorf("first plan and apply: %v and %v, want %d applies and at most %d requests in all", planned, first, objects, objects+50)
	}
	for what, run := range map[string]func(){
		"no-op plan":  func() { planOf(t, target, set) },
		"no-op apply": func() { applyOf(t, target, set) },
		"only the origin moves": func() {
			moved := set
			moved.Origin = "elsewhere"
			applyOf(t, target, moved)
		},
	} {
		counts := measure(what, run)
		if counts["object"]+counts["apply"] != 0 || total(counts) > 12 {
			t.Errorf("%s: %v, want no object request and at most 12 in all", what, counts)
		}
	}
	files["app-007.yaml"] = strings.Replace(files["app-007.yaml"], ":1.0.0", ":1.0.1", 1)
	set.Objects = itemsOf(t, files)
	changed := measure("one change", func() {
		if got := applyOf(t, target, set)[namespaces[7%4]+":Deployment.apps/app-007"].Outcome; got != applier.Updated {
			t.Errorf("changed object: %s", got)
		}
	})
	if changed["object"] != 0 || changed["apply"] != 1 {
		t.Errorf("one change: %v, want one object request", changed)
	}
}

// TestTroubledServer lets an apply through a server that is overloaded, fails
// and drops connections, all at once.
func TestTroubledServer(t *testing.T) {
	t.Parallel()
	p, kubeconfig := newProxy(t)
	target := realTarget(t, Config{Kubeconfig: kubeconfig})
	ns := namespaceFor(t)
	set := applier.Set{Owner: "troubled", Complete: true, Objects: itemsOf(t, apps(20, ns))}
	p.set(func(n int, w http.ResponseWriter, r *http.Request) bool {
		switch {
		case n%5 == 1:
			w.Header().Set("Retry-After", "0")
			apiStatus(w, http.StatusTooManyRequests, "TooManyRequests")
		case n%11 == 2:
			apiStatus(w, http.StatusInternalServerError, "InternalError")
		case n%13 == 3 && n > 40:
			cut(w)
		default:
			return false
		}
		return true
	})
	for ref, r := range applyOf(t, target, set) {
		if r.Outcome != applier.Created {
			t.Errorf("%s: %+v", ref, r)
		}
	}
	for ref, c := range planOf(t, target, set) {
		if c.Action != applier.None {
			t.Errorf("%s: %s (%s), want none", ref, c.Action, c.Reason)
		}
	}
}

// TestOneObjectFails: an error that stays is one object's only.
func TestOneObjectFails(t *testing.T) {
	t.Parallel()
	p, kubeconfig := newProxy(t)
	target := realTarget(t, Config{Kubeconfig: kubeconfig})
	ns := namespaceFor(t)
	p.set(func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPatch || !strings.HasSuffix(r.URL.Path, "/services/app-003") {
			return false
		}
		apiStatus(w, http.StatusInternalServerError, "InternalError")
		return true
	})
	bad := ns + ":Service/app-003"
	for ref, r := range applyOf(t, target, applier.Set{Owner: "partly", Complete: true, Objects: itemsOf(t, apps(10, ns))}) {
		if failed := r.Outcome == applier.Failed; failed != (ref == bad) {
			t.Errorf("%s: %+v", ref, r)
		}
	}
}

// TestServerGoesAway cuts every connection for a while in the midst of an
// apply and of a watch, as a restart does.
func TestServerGoesAway(t *testing.T) {
	t.Parallel()
	p, kubeconfig := newProxy(t)
	target := realTarget(t, Config{Kubeconfig: kubeconfig})
	ns := namespaceFor(t)
	set := applier.Set{Owner: "steady", Complete: true, Objects: itemsOf(t, apps(20, ns))}
	var away atomic.Int64
	p.set(func(n int, w http.ResponseWriter, r *http.Request) bool {
		if n == 60 {
			away.Store(time.Now().Add(2 * time.Second).UnixNano())
			go p.CloseClientConnections()
		}
		if time.Now().UnixNano() < away.Load() {
			cut(w)
			return true
		}
		return false
	})
	for ref, r := range applyOf(t, target, set) {
		if r.Outcome != applier.Created {
			t.Errorf("%s: %+v", ref, r)
		}
	}

	until := watching(t, target, "steady")
	until("the end of the first pass", func(s applier.ObjectStatus) bool { return s.Ref.Kind == "" })
	away.Store(time.Now().Add(2 * time.Second).UnixNano())
	p.CloseClientConnections()
	direct := realTarget(t, Config{InventoryNamespace: target.config.InventoryNamespace})
	if _, err := direct.client.Dynamic.Resource(gvr("", "v1", "configmaps")).Namespace(ns).
		Patch(t.Context(), "app-005", types.MergePatchType, []byte(`{"data":{"config.yaml":"changed while nobody looked"}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	until("the change made meanwhile", func(s applier.ObjectStatus) bool { return s.Ref.Name == "app-005" && s.Drifted })
}

// TestOnlyNamespaces works with the rights of one namespace.
func TestOnlyNamespaces(t *testing.T) {
	t.Parallel()
	admin := realTarget(t, Config{})
	ns := makeNamespace(t, admin)
	rights := `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: tenant, namespace: NS}
rules: [{apiGroups: ["", apps], resources: [configmaps, deployments, pods, secrets], verbs: ["*"]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: tenant, namespace: NS}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: tenant}
subjects: [{kind: User, name: tenant-NS}]
`
	applyOf(t, admin, setOf(t, "rights", ns, rights))
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	original, err := os.ReadFile(os.Getenv(kubeconfigVariable))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(kubeconfig, impersonating(t, original, "tenant-"+ns), 0o600); err != nil {
		t.Fatal(err)
	}
	tenant := realTarget(t, Config{Kubeconfig: kubeconfig, Namespaces: []string{ns}})
	manifests := strings.ReplaceAll(small[strings.Index(small, "---\n")+4:], "NS", ns) + "---\n" +
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: here}\n---\n" +
		configMap("kube-system", "elsewhere", "x") + "---\n" +
		"apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: wide-" + ns + "}\n---\n" +
		"apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: forbidden}\n"
	set := setOf(t, "tenant", ns, manifests)
	results := applyOf(t, tenant, set)
	for ref, want := range map[string]applier.Outcome{
		ns + ":ConfigMap/settings":                         applier.Created,
		ns + ":ConfigMap/here":                             applier.Created,
		ns + ":Deployment.apps/web":                        applier.Created,
		ns + ":ServiceAccount/forbidden":                   applier.Failed,
		"kube-system:ConfigMap/elsewhere":                  applier.Failed,
		"ClusterRole.rbac.authorization.k8s.io/wide-" + ns: applier.Failed,
	} {
		if results[ref].Outcome != want {
			t.Errorf("%s: %+v, want %s", ref, results[ref], want)
		}
	}
	if r := results["kube-system:ConfigMap/elsewhere"]; !strings.Contains(r.Reason, "outside the applier's limits") {
		t.Errorf("refused for another reason: %+v", r)
	}
	if c := planOf(t, tenant, set)[ns+":Deployment.apps/web"]; c.Action != applier.None {
		t.Errorf("second plan: %+v", c)
	}
	until := watching(t, tenant, "tenant")
	until("the deployment", func(s applier.ObjectStatus) bool { return s.Ref.Kind == "Deployment" && s.Health == applier.Current })
	var refs []applier.Ref
	for _, c := range planOf(t, tenant, setOf(t, "tenant", ns, "")) {
		refs = append(refs, c.Ref)
	}
	for ref, r := range deleteOf(t, tenant, applier.Deletion{Owner: "tenant", Refs: refs}) {
		if r.Outcome != applier.Deleted {
			t.Errorf("delete %s: %+v", ref, r)
		}
	}
}
