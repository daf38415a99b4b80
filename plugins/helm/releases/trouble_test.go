package releases

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"helm.sh/helm/v4/pkg/kube"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-gitops/sluice/plugins/helm/cluster"
	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// hangingHook is a pod that no node can run, so that it never ends.
const hangingHook = `apiVersion: v1
kind: Pod
metadata:
  name: {{ .Release.Name }}-hook
  annotations: {helm.sh/hook: "EVENTS"}
spec:
  restartPolicy: Never
  nodeSelector: {nowhere: "true"}
  containers: [{name: c, image: example.com/c:1}]
`

func withHook(t *testing.T, r helm.Release, events string) helm.Release {
	t.Helper()
	r.Chart = chartOf(t, map[string]string{"templates/cm.yaml": configMapTemplate, "templates/hook.yaml": strings.Replace(hangingHook, "EVENTS", events, 1)})
	return r
}

// TestCancel: an operation that waits for a hook that never ends comes to an
// end with its context, for good, and leaves a release that can go on.
func TestCancel(t *testing.T) {
	t.Parallel()
	for _, event := range []string{"pre-install", "post-install", "pre-upgrade", "pre-rollback", "pre-delete", "test"} {
		t.Run(event, func(t *testing.T) {
			t.Parallel()
			m, ns := real(t)
			r := withHook(t, simple(t, ns, "one"), event)
			if !strings.HasSuffix(event, "install") {
				if _, err := m.Upgrade(t.Context(), r, nil); err != nil {
					t.Fatal(err)
				}
			}
			if event == "pre-rollback" {
				r.DisableHooks = true
				if _, err := m.Upgrade(t.Context(), r, nil); err != nil {
					t.Fatal(err)
				}
				r.DisableHooks = false
			}
			stop := errors.New("stopped by the test")
			ctx, cancel := context.WithCancelCause(t.Context())
			go func() {
				m.awaitPod(t, ns, "web-hook")
				cancel(stop)
			}()
			if err := run(ctx, m, r, event); !errors.Is(err, stop) {
				t.Errorf("%s: %v", event, err)
			}
			rev, err := m.Status(t.Context(), r.Ref)
			if err != nil {
				t.Fatal(err)
			}
			switch event {
			case "test":
				if rev.Status != "deployed" {
					t.Errorf("it is %s", rev.Status)
				}
			default:
				if rev.Status != "failed" || !strings.Contains(rev.Message, "stopped by the test") && !strings.Contains(rev.Message, "context canceled") {
					t.Errorf("it is %s: %s", rev.Status, rev.Message)
				}
			}
			r.DisableHooks = true
			if rev, err := m.Upgrade(t.Context(), r, nil); err != nil || rev.Status != "deployed" {
				t.Errorf("afterwards: %+v, %v", rev, err)
			}
		})
	}
}

func run(ctx context.Context, m *Manager, r helm.Release, event string) error {
	var err error
	switch event {
	case "pre-rollback":
		_, err = m.Rollback(ctx, helm.Rollback{Ref: r.Ref}, nil)
	case "pre-delete":
		err = m.Uninstall(ctx, helm.Uninstall{Ref: r.Ref}, nil)
	case "test":
		err = m.Test(ctx, helm.Test{Ref: r.Ref}, nil)
	default:
		_, err = m.Upgrade(ctx, r, nil)
	}
	return err
}

// awaitPod waits until a pod exists.
func (m *Manager) awaitPod(t *testing.T, namespace, name string) {
	w, err := m.api(t).CoreV1().Pods(namespace).Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		t.Error(err)
		return
	}
	defer w.Stop()
	if _, ok := <-w.ResultChan(); !ok {
		t.Errorf("pod %s was never made", name)
	}
}

// killed is set in a process that is started to be killed: it upgrades, to
// what the variable says, and never comes back.
const killed = "SLUICE_TEST_KILLED"

func TestMain(m *testing.M) {
	kube.ManagedFieldsManager = "helm"
	if os.Getenv(killed) != "" {
		toBeKilled()
	}
	goleak.VerifyTestMain(m)
}

type orders struct {
	Namespace, Chart, Event string
}

func toBeKilled() {
	var o orders
	if err := json.Unmarshal([]byte(os.Getenv(killed)), &o); err != nil {
		panic(err)
	}
	c, err := cluster.Connect(cluster.Options{Kubeconfig: os.Getenv(kubeconfigVariable), UserAgent: "sluice-plugin-helm/test-killed"})
	if err != nil {
		panic(err)
	}
	m, err := New(c, Secrets)
	if err != nil {
		panic(err)
	}
	r := helm.Release{Ref: helm.ReleaseRef{Namespace: o.Namespace, Name: "web"}, Chart: o.Chart, Owner: "test", Digest: "d", Values: secret.New(`{"greeting":"two"}`)}
	err = run(context.Background(), m, r, o.Event)
	panic(err) // it should have been killed
}

// TestKilled: what is left by a process that was killed in the middle of each
// operation is locked, and recovers to what is declared.
func TestKilled(t *testing.T) {
	t.Parallel()
	for event, status := range map[string]string{
		"pre-install": "pending-install", "post-install": "pending-install", "pre-upgrade": "pending-upgrade",
		"post-upgrade": "pending-upgrade", "pre-rollback": "pending-rollback", "post-delete": "uninstalling",
	} {
		t.Run(event, func(t *testing.T) {
			t.Parallel()
			m, ns := real(t)
			r := withHook(t, simple(t, ns, "one"), event)
			if !strings.HasSuffix(event, "install") {
				for range 2 {
					r.DisableHooks = true
					if _, err := m.Upgrade(t.Context(), r, nil); err != nil {
						t.Fatal(err)
					}
				}
			}
			do := event
			if event == "post-delete" {
				do = "pre-delete"
			}
			kill(t, m, orders{ns, r.Chart, do})
			if rev, err := m.Status(t.Context(), r.Ref); err != nil || rev.Status != status {
				t.Fatalf("left behind: %+v, %v; want %s", rev, err, status)
			}
			r.DisableHooks = true
			if _, err := m.Upgrade(t.Context(), r, nil); !errors.Is(err, helm.ErrLocked) {
				t.Errorf("Upgrade of what is locked: %v", err)
			}
			if rev, err := m.Unlock(t.Context(), r.Ref); err != nil || rev.Status != "failed" || !strings.Contains(rev.Message, status) {
				t.Errorf("Unlock = %+v, %v", rev, err)
			}
			if rev, err := m.Upgrade(t.Context(), r, nil); err != nil || rev.Status != "deployed" || rev.Digest != "d-one" {
				t.Fatalf("afterwards: %+v, %v", rev, err)
			}
			if cm, err := m.api(t).CoreV1().ConfigMaps(ns).Get(t.Context(), "web", metav1.GetOptions{}); err != nil || cm.Data["greeting"] != "one" {
				t.Errorf("afterwards there is %v, %v", cm.Data, err)
			}
		})
	}
}

// kill starts this binary with orders, and kills it once its hook is there.
func kill(t *testing.T, m *Manager, o orders) {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killed+"="+string(text))
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1)
	go func() {
		first, _ := bufio.NewReader(stderr).ReadString('\n')
		lines <- first
	}()
	m.awaitPod(t, o.Namespace, "web-hook")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	said := <-lines
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the process ended by itself: %v, %s", err, said)
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	m, ns := real(t)
	r := withHook(t, simple(t, ns, "one"), "post-install")
	r.Timeout = time.Second
	_, err := m.Upgrade(t.Context(), r, nil)
	if err == nil || !strings.Contains(err.Error(), "failed post-install") {
		t.Errorf("got %v", err)
	}
	if rev, err := m.Status(t.Context(), r.Ref); err != nil || rev.Status != "failed" {
		t.Errorf("it is %+v, %v", rev, err)
	}
}

func TestAtomic(t *testing.T) {
	t.Parallel()
	m, ns := real(t)
	r := simple(t, ns, "one")
	if _, err := m.Upgrade(t.Context(), r, nil); err != nil {
		t.Fatal(err)
	}
	bad := withHook(t, r, "post-upgrade")
	bad.Values, bad.Timeout, bad.Atomic = secret.New(`{"greeting": "two"}`), time.Second, true
	if _, err := m.Upgrade(t.Context(), bad, nil); err == nil || !strings.Contains(err.Error(), "rolled back") {
		t.Errorf("got %v", err)
	}
	if rev, err := m.Status(t.Context(), r.Ref); err != nil || rev.Number != 3 || rev.Status != "deployed" || rev.Digest != "" {
		t.Errorf("it is %+v, %v", rev, err)
	}
	if cm, err := m.api(t).CoreV1().ConfigMaps(ns).Get(t.Context(), "web", metav1.GetOptions{}); err != nil || cm.Data["greeting"] != "one" {
		t.Errorf("there is %v, %v", cm.Data, err)
	}
}

func TestBadCharts(t *testing.T) {
	t.Parallel()
	m, ns := real(t)
	schema := `{"type": "object", "required": ["name"], "properties": {"port": {"type": "integer"}, "password": {"type": "string", "pattern": "^x"}, "list": {"items": {"type": "string"}}}}`
	for name, tt := range map[string]struct {
		files  map[string]string
		values string
		want   []string
		path   string // of the first diagnostic
	}{
		"template":  {map[string]string{"templates/a.yaml": `{{ fail (printf "no: %s" .Values.password) }}`}, `{"password": "hunter2"}`, []string{"web/templates/a.yaml:1", "no: (redacted)"}, ""},
		"syntax":    {map[string]string{"templates/a.yaml": "{{ if }}"}, "", []string{"web/templates/a.yaml:1", "missing value for if"}, ""},
		"manifest":  {map[string]string{"templates/a.yaml": "a: [\n"}, "", []string{"a.yaml"}, ""},
		"field":     {map[string]string{"templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndatas: {a: b}\n"}, "", []string{"ConfigMap/a: datas: field not declared"}, ""},
		"unknown":   {map[string]string{"templates/a.yaml": "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: a}\n"}, "", []string{`no matches for kind "Thing"`}, ""},
		"missing":   {map[string]string{"Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\ndependencies: [{name: db, version: 1.0.0}]\n"}, "", []string{"not in its charts directory: db"}, ""},
		"library":   {map[string]string{"Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\ntype: library\n"}, "", []string{`of the type "library"`}, ""},
		"schema":    {map[string]string{"values.schema.json": schema, "values.yaml": "name: x\n"}, `{"port": "http", "password": "hunter2", "list": ["a", 1]}`, []string{"3 problems"}, "values.list[1]"},
		"required":  {map[string]string{"values.schema.json": schema}, `{}`, []string{"missing property 'name'"}, "values"},
		"reference": {map[string]string{"values.schema.json": `{"$ref": "file:///etc/passwd"}`}, `{}`, []string{"may not refer to file:///etc/passwd"}, "values"},
		"values":    {nil, `["hunter2"]`, []string{"values are not a JSON object"}, ""},
		"kube":      {map[string]string{"Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\nkubeVersion: '>=9.0.0'\n"}, "", []string{">=9.0.0"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := helm.Release{Ref: helm.ReleaseRef{Namespace: ns, Name: name}, Chart: chartOf(t, tt.files), Values: secret.New(tt.values)}
			_, err := m.Upgrade(t.Context(), r, nil)
			if err == nil {
				t.Fatal("it is installed")
			}
			if list, ok := diag.From(err); tt.path != "" {
				if !ok || list[0].Path.String() != tt.path && !contains(list, tt.path) {
					t.Errorf("got %v, want a diagnostic at %s", list, tt.path)
				}
				if tt.want[0] == "3 problems" && len(list) == 3 {
					tt.want = nil
				}
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a secret stands in %v", err)
			}
		})
	}
}

func contains(list diag.List, path string) bool {
	for _, d := range list {
		if d.Path.String() == path {
			return true
		}
	}
	return false
}

func TestPermanent(t *testing.T) {
	t.Parallel()
	m, ns := real(t)
	ref := helm.ReleaseRef{Namespace: ns, Name: "none"}
	if _, err := m.Rollback(t.Context(), helm.Rollback{Ref: ref}, nil); !errors.Is(err, helm.ErrNotFound) || !sdk.IsPermanent(err) {
		t.Errorf("Rollback of nothing: %v", err)
	}
	if err := m.Test(t.Context(), helm.Test{Ref: ref}, nil); !errors.Is(err, helm.ErrNotFound) {
		t.Errorf("Test of nothing: %v", err)
	}
	if rev, err := m.Unlock(t.Context(), ref); err != nil || rev != (helm.Revision{}) {
		t.Errorf("Unlock of nothing = %+v, %v", rev, err)
	}
	if _, err := m.Status(t.Context(), helm.ReleaseRef{Namespace: ns, Name: "Not A Name"}); !sdk.IsPermanent(err) {
		t.Errorf("a bad name: %v", err)
	}
}

// TestLeftovers: what only failed revisions had is gone after one that works.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	m, ns := real(t)
	r := simple(t, ns, "one")
	if _, err := m.Upgrade(t.Context(), r, nil); err != nil {
		t.Fatal(err)
	}
	extra := func(name string) helm.Release {
		bad := r
		bad.Chart = chartOf(t, map[string]string{
			"templates/cm.yaml":    configMapTemplate,
			"templates/extra.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n",
			"templates/hook.yaml":  strings.Replace(hangingHook, "EVENTS", "post-upgrade", 1),
		})
		bad.Timeout = time.Second
		return bad
	}
	for _, name := range []string{"first", "second"} {
		if _, err := m.Upgrade(t.Context(), extra(name), nil); err == nil {
			t.Fatal("it did not fail")
		}
	}
	if _, err := m.Upgrade(t.Context(), r, nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"first", "second"} {
		if _, err := m.api(t).CoreV1().ConfigMaps(ns).Get(t.Context(), name, metav1.GetOptions{}); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
}

// TestInstallOnceMore: an install whose hook has failed is tried again with its
// hooks, until they have been through once; upgrades come after that. Its
// history keeps to its bounds meanwhile.
func TestInstallOnceMore(t *testing.T) {
	t.Parallel()
	for _, event := range []string{"pre-install", "post-install"} {
		t.Run(event, func(t *testing.T) {
			t.Parallel()
			m, ns := real(t)
			good := simple(t, ns, "one")
			bad := withHook(t, good, event)
			bad.Timeout, bad.MaxHistory = time.Second, 3
			for range 4 {
				if _, err := m.Upgrade(t.Context(), bad, nil); err == nil || !strings.Contains(err.Error(), "hook Pod/web-hook is not done within 1s") {
					t.Fatalf("got %v", err)
				}
			}
			if rev, err := m.Status(t.Context(), bad.Ref); err != nil || rev.Number != 4 || rev.Status != "failed" {
				t.Errorf("it is %+v, %v", rev, err)
			}
			revisions := 0
			if err := m.History(t.Context(), bad.Ref, func(helm.Revision) { revisions++ }); err != nil || revisions > 3 {
				t.Errorf("%d revisions are kept, %v", revisions, err)
			}
			if rev, err := m.Upgrade(t.Context(), good, nil); err != nil || rev.Status != "deployed" || rev.Number != 5 {
				t.Fatalf("without the hook: %+v, %v", rev, err)
			}
			if rev, err := m.Upgrade(t.Context(), bad, nil); err != nil || rev.Number != 6 {
				t.Errorf("an upgrade ran the hooks of an install: %+v, %v", rev, err)
			}
		})
	}
}

func TestCreateNamespace(t *testing.T) {
	t.Parallel()
	m, ns := real(t)
	r := simple(t, ns+"-new", "one")
	if _, err := m.Upgrade(t.Context(), r, nil); err == nil || !strings.Contains(err.Error(), `namespaces "`+ns+`-new" not found`) {
		t.Errorf("without asking for it: %v", err)
	}
	r.CreateNamespace = true
	if _, err := m.Upgrade(t.Context(), r, nil); err != nil {
		t.Error(err)
	}
	if err := m.api(t).CoreV1().Namespaces().Delete(t.Context(), ns+"-new", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
}
