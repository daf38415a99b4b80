package release_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/core/pluginhost"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// kubeconfigVariable names the kubeconfig of a real cluster that these tests
// may fill and empty.
const kubeconfigVariable = "SLUICE_TEST_KUBECONFIG"

// theChart makes one ConfigMap, which "broken" makes one that no API server
// takes, and with "hold" a hook that never ends.
var theChart = map[string]string{
	"Chart.yaml":         "apiVersion: v2\nname: small\nversion: 0.1.0\nappVersion: 7.0.0\n",
	"values.yaml":        "colour: none\n",
	"values-prod.yaml":   "colour: red\nsize: 1\n",
	"values.schema.json": `{"type": "object", "properties": {"size": {"type": "integer"}}}`,
	"templates/config.yaml": `apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
data:
  colour: {{ .Values.colour | quote }}
{{- if .Values.broken }}
immutable: "not a bool"
{{- end }}
`,
	"templates/hook.yaml": `{{- if .Values.hold }}
apiVersion: v1
kind: Pod
metadata:
  name: {{ .Release.Name }}-hold
  annotations:
    helm.sh/hook: pre-upgrade,pre-rollback
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed
spec:
  nodeSelector: {nothing: fits}
  restartPolicy: Never
  containers:
  - name: main
    image: example.com/hold
{{- end }}
`,
}

// real is the helm plugin in a process of its own, and a release in the cluster.
type real struct {
	t      *testing.T
	host   *pluginhost.Host
	runner *release.Runner
	h      release.Host
	spec   release.Spec
	rec    release.Record
}

func newReal(t *testing.T) *real {
	t.Helper()
	kubeconfig := os.Getenv(kubeconfigVariable)
	if kubeconfig == "" {
		t.Skipf("%s names no kubeconfig; `make test` starts a cluster and sets it", kubeconfigVariable)
	}
	run, err := os.MkdirTemp("", "r") //nolint:usetesting // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	host, err := pluginhost.New(pluginhost.Options{Dirs: []string{pluginDir(t)}, RunDir: run, DataDir: t.TempDir(), CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(map[string]string{"kubeconfig": kubeconfig})
	if err != nil {
		t.Fatal(err)
	}
	i, _, err := host.Open(t.Context(), "helm", "helm", "helm.helm.test", config)
	if err != nil {
		t.Fatal(err)
	}
	runner, err := release.New(release.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("r%d-%d", os.Getpid(), time.Now().UnixNano()%1e10)
	ref := helm.ReleaseRef{Namespace: "default", Name: name}
	r := &real{t: t, host: host, runner: runner, spec: release.Spec{
		Owner: release.OwnerOf("release." + name), Ref: ref,
		Chart: release.Chart{Tree: &release.TreeChart{Source: "source.git.x", Path: "charts/small"}},
		From:  []release.ValuesFrom{{ChartFile: "values-prod.yaml"}},
	}}
	tree := writeChart(t)
	r.h = release.Host{
		Name: "helm.helm.test", Helm: i.Helm(), Can: i.Has,
		Observer: release.NewObserver(i.Helm(), release.ObserverOptions{Can: i.Has}),
		Tree: func(context.Context, string) (release.Tree, error) {
			return release.Tree{Dir: tree, Revision: "main@1", Digest: "1"}, nil
		},
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_, err := runner.Remove(ctx, release.Removal{Owner: r.spec.Owner, Ref: r.spec.Ref, Uninstall: release.Uninstall{DisableHooks: true}}, r.h, nil)
		if err := errors.Join(err, runner.Close(), host.Close(ctx), os.RemoveAll(run)); err != nil {
			t.Error(err)
		}
	})
	return r
}

// pluginDir is where the plugin is built, if it is not built already.
func pluginDir(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("SLUICE_TEST_BIN"); dir != "" {
		return dir
	}
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "sluice-plugin-helm"), ".")
	build.Dir = filepath.Join("..", "..", "plugins", "helm")
	build.Env = append(os.Environ(), "GOWORK=off")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the plugin: %v\n%s", err, out)
	}
	return dir
}

func writeChart(t *testing.T) string {
	t.Helper()
	tree := t.TempDir()
	for name, text := range theChart {
		file := filepath.Join(tree, "charts", "small", filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return tree
}

// run runs the release with other values, and tells its state and steps.
func (r *real) run(values string, tell func(release.Progress)) (release.Report, string) {
	r.t.Helper()
	r.spec.Values = secret.New(values)
	rep, rec := r.runner.Run(r.t.Context(), r.spec, r.h, r.rec, tell)
	r.rec = rec
	steps := string(rep.State) + ":"
	for _, s := range rep.Steps {
		steps += " " + string(s.Action)
	}
	r.t.Logf("%s %s: %v", steps, rep.Reason, rep.Err)
	return rep, steps
}

// expect runs the release and checks its state and steps.
func (r *real) expect(values, want string) release.Report {
	r.t.Helper()
	rep, steps := r.run(values, nil)
	if steps != want {
		r.t.Errorf("got %s, want %s: %v", steps, want, rep.Err)
	}
	return rep
}

// history are the revisions, oldest first.
func (r *real) history() string {
	r.t.Helper()
	var all []string
	if err := r.h.Helm.History(r.t.Context(), r.spec.Ref, func(rev helm.Revision) { all = append([]string{rev.Status}, all...) }); err != nil {
		r.t.Fatal(err)
	}
	return strings.Join(all, " ")
}

func TestRealHelm(t *testing.T) {
	r := newReal(t)
	plan, err := r.runner.Plan(t.Context(), r.spec, r.h, r.rec)
	if err != nil || plan.Action != release.ActInstall || len(plan.Changes) != 1 || plan.Changes[0].Name != r.spec.Ref.Name {
		t.Errorf("%+v, %v", plan, err)
	}
	rep := r.expect(`{}`, "in_sync: install")
	if rep.Chart.Name != "small" || rep.Chart.AppVersion != "7.0.0" || rep.Revision.Number != 1 || rep.Revision.Digest == "" {
		t.Errorf("%+v %+v", rep.Chart, rep.Revision)
	}
	r.expect(`{}`, "in_sync:")
	r.rec = release.Record{}
	r.expect(`{}`, "in_sync:")

	rep = r.expect(`{"size": "large"}`, "out_of_sync: upgrade")
	if list, ok := diag.From(rep.Err); !ok || len(list) != 1 || list[0].Path.String() != "values.size" {
		t.Errorf("the schema's complaint has no path: %v", rep.Err)
	}
	r.expect(`{"colour": "blue"}`, "in_sync: upgrade")

	r.spec.Remedy = release.Remedy{Action: release.RemedyRollback}
	rep = r.expect(`{"broken": true}`, "rolled_back: upgrade rollback")
	if got := r.history(); got != "superseded superseded failed deployed" {
		t.Errorf("history %s", got)
	}
	r.expect(`{"broken": true}`, "rolled_back:")
	r.rec = release.Record{}
	r.expect(`{"broken": true}`, "rolled_back:")
	r.expect(`{"colour": "green"}`, "in_sync: upgrade")

	var out strings.Builder
	if err := r.runner.Template(t.Context(), r.spec, r.h, &out); err != nil || !strings.Contains(out.String(), "colour: green") {
		t.Errorf("%v: %s", err, out.String())
	}
	r.spec.Ref.Name += "-moved"
	r.expect(`{"colour": "green"}`, "moved:")
	r.spec.OnMove = release.MoveReinstall
	r.expect(`{"colour": "green"}`, "in_sync: move install")
	if got := r.history(); got != "deployed" {
		t.Errorf("history %s", got)
	}
	if removed, err := r.runner.Remove(t.Context(), r.rec.Removal(), r.h, nil); !removed || err != nil {
		t.Error(removed, err)
	}
	if got := r.history(); got != "" {
		t.Errorf("history %s", got)
	}
}

// The plugin is killed in the middle of an upgrade and of a rollback.
func TestRealHelmKilled(t *testing.T) {
	r := newReal(t)
	r.spec.Timeout = 5 * time.Second
	r.spec.Remedy = release.Remedy{Action: release.RemedyRollback}
	r.expect(`{"colour": "red"}`, "in_sync: install")
	if _, steps := r.run(`{"hold": true}`, r.killIn(release.PhaseUpgrading)); steps != "failed: upgrade unlock" {
		t.Error(steps)
	}
	r.expect(`{"colour": "blue"}`, "in_sync: upgrade")

	r.spec.DisableHooks = true
	r.expect(`{"hold": true}`, "in_sync: upgrade") // what is rolled back to holds
	r.spec.DisableHooks = false
	if _, steps := r.run(`{"broken": true}`, r.killIn(release.PhaseRollingBack)); steps != "failed: upgrade rollback unlock" {
		t.Error(steps)
	}
	r.expect(`{"colour": "green"}`, "in_sync: upgrade")
}

// killIn kills the plugin when the hook that never ends runs in a phase.
func (r *real) killIn(phase release.Phase) func(release.Progress) {
	in := false
	return func(p release.Progress) {
		in = in || p.Phase == phase
		if !in || !strings.Contains(p.Event.Message+p.Event.Object, "hold") {
			return
		}
		in = false
		for _, s := range r.host.Status() {
			if s.PID > 0 {
				if err := syscall.Kill(s.PID, syscall.SIGKILL); err != nil {
					r.t.Error(err)
				}
			}
		}
	}
}
