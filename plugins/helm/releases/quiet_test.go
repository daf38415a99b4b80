package releases

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sluice-gitops/sluice/plugins/helm/cluster"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// requests are what came by on the way to the API server.
type requests struct {
	mu   sync.Mutex
	seen map[string]int // by method and path
}

func (r *requests) count(req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[req.Method+" "+req.URL.Path]++
}

// take returns the requests since it was called last.
func (r *requests) take() (paths []string, all int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for path, n := range r.seen {
		all += n
		paths = append(paths, fmt.Sprintf("%d %s", n, path))
	}
	clear(r.seen)
	slices.Sort(paths)
	return paths, all
}

// counted is real with a proxy in between that counts.
func counted(t *testing.T, namespaces ...string) (*Manager, string, *requests) {
	t.Helper()
	direct, ns := real(t)
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv(kubeconfigVariable))
	if err != nil {
		t.Fatal(err)
	}
	through, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	server, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	seen := &requests{seen: map[string]int{}}
	proxy := &httputil.ReverseProxy{Transport: through, Rewrite: func(r *httputil.ProxyRequest) {
		seen.count(r.In)
		r.SetURL(server)
	}}
	front := httptest.NewServer(proxy)
	t.Cleanup(front.Close)
	file := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "c", "clusters": [{"name": "c", "cluster": {"server": %q}}], "contexts": [{"name": "c", "context": {"cluster": "c"}}]}`, front.URL)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if slices.Equal(namespaces, []string{"own"}) {
		namespaces = []string{ns}
	}
	c, err := cluster.Connect(cluster.Options{Kubeconfig: file, Namespaces: namespaces, UserAgent: "sluice-plugin-helm/test-" + t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	m, err := New(c, direct.storage)
	if err != nil {
		t.Fatal(err)
	}
	return m, ns, seen
}

// expire makes shared answers too old.
func (m *Manager) expire() {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.current
	s.newest = newShared[map[helm.ReleaseRef]head]()
	s.objects = newListings(s.metadata, s.namespaces())
}

const three = configMapTemplate + `---
apiVersion: v1
kind: ServiceAccount
metadata: {name: {{ .Release.Name }}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  replicas: 0
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec: {containers: [{name: app, image: "example.com/app:1"}]}
`

// fleet is many releases of a chart with three objects each.
type fleet struct {
	*Manager
	t        *testing.T
	ns       string
	many     int
	requests *requests
}

func launch(t *testing.T, many int, namespaces ...string) *fleet {
	t.Helper()
	m, ns, seen := counted(t, namespaces...)
	f := &fleet{m, t, ns, many, seen}
	r := simple(t, ns, "one")
	r.Chart = chartOf(t, map[string]string{"templates/all.yaml": three, "values.yaml": "greeting: hello\n"})
	f.each(func(ref helm.ReleaseRef) error {
		r := r
		r.Ref = ref
		_, err := m.Upgrade(t.Context(), r, nil)
		return err
	})
	f.await()
	return f
}

func (f *fleet) each(do func(helm.ReleaseRef) error) {
	f.t.Helper()
	var group errgroup.Group
	group.SetLimit(8)
	for i := range f.many {
		group.Go(func() error { return do(helm.ReleaseRef{Namespace: f.ns, Name: fmt.Sprintf("web-%d", i)}) })
	}
	if err := group.Wait(); err != nil {
		f.t.Fatal(err)
	}
}

// await waits until the controllers have seen all Deployments as they are.
func (f *fleet) await() {
	f.t.Helper()
	deployments := f.api(f.t).AppsV1().Deployments(f.ns)
	w, err := deployments.Watch(f.t.Context(), metav1.ListOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	defer w.Stop()
	done := map[string]bool{}
	for e := range w.ResultChan() {
		d, ok := e.Object.(*appsv1.Deployment)
		if !ok || e.Type == watch.Bookmark {
			continue
		}
		done[d.Name] = d.Status.ObservedGeneration == d.Generation && d.Annotations["deployment.kubernetes.io/revision"] != "" && d.Status.Replicas == *d.Spec.Replicas
		if len(done) == f.many && !slices.Contains(slices.Collect(maps.Values(done)), false) {
			break
		}
	}
	f.requests.take()
}

// pass compares all, and returns what it found and the requests that it took.
func (f *fleet) pass(c helm.Comparison) (found, paths []string, all int) {
	f.t.Helper()
	f.expire()
	f.requests.take() // those of the test itself
	var mu sync.Mutex
	f.each(func(ref helm.ReleaseRef) error {
		c := c
		c.Ref = ref
		return f.Compare(f.t.Context(), c, func(change helm.Change) {
			mu.Lock()
			defer mu.Unlock()
			found = append(found, strings.TrimSpace(change.Action+" "+change.Kind+"/"+change.Name+" "+change.Problem))
		})
	})
	slices.Sort(found)
	paths, all = f.requests.take()
	return found, paths, all
}

// cheap is a pass that must find nothing, with few requests.
func (f *fleet) cheap(when string, most int) {
	f.t.Helper()
	if found, paths, all := f.pass(helm.Comparison{}); found != nil || all > most {
		f.t.Errorf("%s: found %v with %d requests, want at most %d:\n%s", when, found, all, most, strings.Join(paths[:min(len(paths), 30)], "\n"))
	}
}

// quiet is what a pass may cost in which nothing has changed: a list of records
// and one of each kind, in pages of 500, and the same once more should the pass
// take so long that they are no longer fresh.
const quiet = 2 * (1 + 3)

// TestQuiet: once all releases were found right, the next looks at them cost a
// list for each kind, whatever their number, and whoever writes a status. What
// has been written is looked at, and once more it is quiet.
func TestQuiet(t *testing.T) {
	t.Parallel()
	f := launch(t, 200)
	ctx := t.Context()
	found, _, all := f.pass(helm.Comparison{})
	if found != nil || all < 2*3*f.many {
		t.Errorf("the first pass found %v with %d requests", found, all)
	}
	t.Logf("first pass: %d requests for %d releases of 3 objects", all, f.many)
	f.cheap("second pass", quiet)

	deployments := f.api(t).AppsV1().Deployments(f.ns)
	text := `{"status": {"conditions": [{"type": "Example", "status": "True", "lastUpdateTime": "2020-01-01T00:00:00Z", "lastTransitionTime": "2020-01-01T00:00:00Z"}]}}`
	if _, err := deployments.Patch(ctx, "web-1", types.MergePatchType, []byte(text), metav1.PatchOptions{FieldManager: "example"}, "status"); err != nil {
		t.Fatal(err)
	}
	f.cheap("a status was written", quiet)

	f.scale("web-2", "kube-controller-manager")
	f.cheap("an autoscaler was at work", quiet+6)
	f.cheap("after that", quiet)

	f.scale("web-3", "kubectl")
	f.edit("web-4", "two")
	f.edit("web-4", "three")
	if err := f.api(t).CoreV1().ServiceAccounts(f.ns).Delete(ctx, "web-5", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	want := []string{"create ServiceAccount/web-5", "update ConfigMap/web-4", "update Deployment/web-3"}
	for _, c := range []helm.Comparison{{}, {Correct: true}} {
		if found, _, all := f.pass(c); !cmp.Equal(found, want) || all > quiet+3*8 {
			t.Errorf("with %+v: found %v with %d requests", c, found, all)
		}
	}
	f.await()
	f.cheap("corrected", quiet+3*8)
	f.cheap("after that", quiet)

	found, _, all = f.pass(helm.Comparison{Fresh: true})
	if found != nil || all < 2*3*f.many {
		t.Errorf("a fresh pass found %v with %d requests", found, all)
	}
}

func (f *fleet) edit(name, greeting string) {
	f.t.Helper()
	text := fmt.Sprintf(`{"data": {"greeting": %q}}`, greeting)
	if _, err := f.api(f.t).CoreV1().ConfigMaps(f.ns).Patch(f.t.Context(), name, types.MergePatchType, []byte(text), metav1.PatchOptions{FieldManager: "kubectl-edit"}); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) scale(name, manager string) {
	f.t.Helper()
	scale := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: f.ns}, Spec: autoscalingv1.ScaleSpec{Replicas: 1}}
	if _, err := f.api(f.t).AppsV1().Deployments(f.ns).UpdateScale(f.t.Context(), name, scale, metav1.UpdateOptions{FieldManager: manager}); err != nil {
		f.t.Fatal(err)
	}
	f.await()
}

// TestQuietAfterUpgrade: what was found before an upgrade, by whomever, counts
// no longer.
func TestQuietAfterUpgrade(t *testing.T) {
	t.Parallel()
	f := launch(t, 2)
	f.pass(helm.Comparison{})
	f.cheap("second pass", quiet)
	ref := helm.ReleaseRef{Namespace: f.ns, Name: "web-0"}
	other, err := New(f.cluster, Secrets) // another process, as it were
	if err != nil {
		t.Fatal(err)
	}
	r := simple(t, f.ns, "two")
	r.Ref = ref
	if _, err := other.Upgrade(t.Context(), r, nil); err != nil {
		t.Fatal(err)
	}
	f.edit("web-0", "three")
	if found, _, _ := f.pass(helm.Comparison{Correct: true}); !cmp.Equal(found, []string{"update ConfigMap/web-0"}) {
		t.Errorf("found %v", found)
	}
	if cm, err := f.api(t).CoreV1().ConfigMaps(f.ns).Get(t.Context(), "web-0", metav1.GetOptions{}); err != nil || cm.Data["greeting"] != "two" {
		t.Errorf("there is %v, %v", cm.Data, err)
	}
}

// TestShared: one asks for all who wait, trouble is shared too, but not that
// somebody went away.
func TestShared(t *testing.T) {
	t.Parallel()
	s := newShared[int]()
	asked := 0
	ask := func(context.Context) (int, error) { asked++; return asked, nil }
	now := time.Now()
	for range 3 {
		if got, err := s.get(t.Context(), now, ask); got != 1 || err != nil {
			t.Errorf("got %d, %v", got, err)
		}
	}
	if got, _ := s.get(t.Context(), time.Now(), ask); got != 2 {
		t.Errorf("later: got %d", got)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.get(gone, time.Now(), func(ctx context.Context) (int, error) { return 0, ctx.Err() }); err == nil {
		t.Error("one that has gone got an answer")
	}
	if got, err := s.get(t.Context(), now, ask); got != 2 || err != nil {
		t.Errorf("after one has gone: got %d, %v", got, err)
	}
}

// TestSightsAreBounded: those that nobody has asked about for longest go.
func TestSightsAreBounded(t *testing.T) {
	t.Parallel()
	s := sights{of: map[helm.ReleaseRef]*sight{}}
	ref := func(i int) helm.ReleaseRef { return helm.ReleaseRef{Namespace: "n", Name: fmt.Sprint(i)} }
	for i := range 4 {
		states := map[place]state{}
		for j := range mostSeen / 3 {
			states[place{NamespacedName: types.NamespacedName{Name: fmt.Sprint(j)}}] = state{}
		}
		s.keep(ref(i), &sight{states: states, ignore: leavingOut(helm.Comparison{})})
	}
	for i, want := range []bool{false, true, true, true} {
		if got := s.last(helm.Comparison{Ref: ref(i)}) != nil; got != want {
			t.Errorf("release %d is remembered: %t", i, got)
		}
	}
	s.forget(ref(1))
	if s.last(helm.Comparison{Ref: ref(2), Fresh: true}) != nil || s.last(helm.Comparison{Ref: ref(2), Ignore: []helm.Ignore{{Kind: "Secret"}}}) != nil {
		t.Error("a sight that must not be used is")
	}
	if s.objects != 2*(mostSeen/3) {
		t.Errorf("%d objects", s.objects)
	}
}
