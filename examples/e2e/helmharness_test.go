package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// defined are the clusters, by the URL of the server, that have the definitions
// of HelmReleases.
var defined struct {
	sync.Mutex
	in map[string]bool
}

// definitions installs the definitions of HelmReleases in the world's cluster,
// unless a test of this process has.
func (w *world) definitions() {
	w.t.Helper()
	defined.Lock()
	defer defined.Unlock()
	cluster := strings.TrimSpace(w.must("kubectl", "config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}"))
	if defined.in[cluster] {
		return
	}
	file := filepath.Join(w.dir, "definitions.yaml")
	if err := os.WriteFile(file, []byte(w.must("sluice", "install", "--crds")), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.must("kubectl", "apply", "--server-side", "-f", file)
	w.must("kubectl", "wait", "--for", "condition=Established", "-f", file, "--timeout", "1m")
	if defined.in == nil {
		defined.in = map[string]bool{}
	}
	defined.in[cluster] = true
}

// helmVariable names a helm command, so that none is built.
const helmVariable = "SLUICE_TEST_HELM"

// helmCommand is the helm command in the version of the helm plugin. It is built
// once for all runs on this machine.
var helmCommand = sync.OnceValues(func() (string, error) {
	if binary := os.Getenv(helmVariable); binary != "" {
		return binary, nil
	}
	mod, err := os.ReadFile(filepath.FromSlash("../../plugins/helm/go.mod"))
	if err != nil {
		return "", err
	}
	found := regexp.MustCompile(`helm\.sh/helm/v4 (v\S+)`).FindSubmatch(mod)
	if found == nil {
		return "", errors.New("the go.mod of the helm plugin does not require helm.sh/helm/v4")
	}
	version := string(found[1])
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	tools := filepath.Join(cache, "sluice", "tools")
	dir := filepath.Join(tools, "helm-"+version)
	if _, err := os.Stat(filepath.Join(dir, "helm")); err == nil {
		return filepath.Join(dir, "helm"), nil
	}
	if err := os.MkdirAll(tools, 0o755); err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(tools, "building-helm-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	build := exec.Command("go", "install", "helm.sh/helm/v4/cmd/helm@"+version)
	build.Env = append(os.Environ(), "GOWORK=off", "GOBIN="+tmp, "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	// Another process may have been faster: then dir is there, and not empty.
	if err := os.Rename(tmp, dir); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return filepath.Join(dir, "helm"), nil
})

// tryHelm runs the helm command in a namespace. The test skips where there is no
// such command and none can be built.
func (w *world) tryHelm(namespace string, args ...string) outcome {
	w.t.Helper()
	binary, err := helmCommand()
	if err != nil {
		w.t.Skipf("needs the helm command: %v", err)
	}
	return w.run(binary, append(args, "--namespace", namespace)...)
}

// helm is tryHelm for what has to succeed.
func (w *world) helm(namespace string, args ...string) string {
	w.t.Helper()
	o := w.tryHelm(namespace, args...)
	if o.code != 0 {
		w.t.Fatalf("helm %s: exit %d\n%s%s", strings.Join(args, " "), o.code, o.out, o.errOut)
	}
	return o.out
}

// helmRelease is the manifest of a HelmRelease helm.fluxcd.io/v1. spec is YAML
// that is indented by two, such as "chart: ...". The namespace follows the
// prefix.
func helmRelease(ns, name, spec string) string {
	return fmt.Sprintf("apiVersion: helm.fluxcd.io/v1\nkind: HelmRelease\nmetadata:\n  name: %s\n  namespace: NS%s\nspec:\n  %s\n",
		name, ns, strings.ReplaceAll(strings.TrimSpace(spec), "\n", "\n  "))
}

// apply applies manifests with kubectl.
func (w *world) apply(manifests ...string) {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "manifests.yaml")
	text := strings.ReplaceAll(documents(manifests...), "NS", w.prefix)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	w.must("kubectl", "apply", "--server-side", "--force-conflicts", "-f", file)
}

// resource is what kubectl tells of a custom resource.
type resource struct {
	Metadata struct {
		Generation        int64
		Finalizers        []string
		DeletionTimestamp string
		Annotations       map[string]string
	}
	Status struct {
		ObservedGeneration                                                 int64
		Phase, ReleaseName, ReleaseStatus, Revision, LastAttemptedRevision string
		State, Chart, ChartDigest                                          string
		RollbackCount, HelmRevision                                        int
		Drift, Warnings                                                    []string
		Conditions                                                         []condition
	}
}

type condition struct{ Type, Status, Reason, Message string }

// condition returns one as "Status Reason: Message".
func (r resource) condition(kind string) string {
	for _, c := range r.Status.Conditions {
		if c.Type == kind {
			return c.Status + " " + c.Reason + ": " + c.Message
		}
	}
	return ""
}

// resource reads "hr/ghost" for example ("helmrelease" is one of another group); a zero one if it is gone.
func (w *world) resource(namespace, name string) (r resource) {
	w.t.Helper()
	out := w.must("kubectl", "-n", namespace, "get", name, "-o", "json", "--ignore-not-found")
	if out == "" {
		return r
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		w.t.Fatalf("%v in %s", err, out)
	}
	return r
}

// kubernetesEvents are those of an object, as "Type Reason: Message".
func (w *world) kubernetesEvents(namespace, object string) []string {
	w.t.Helper()
	out := w.must("kubectl", "-n", namespace, "events", "--for", object, "-o", "json")
	var list struct {
		Items []struct{ Type, Reason, Message string }
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		w.t.Fatalf("%v in %s", err, out)
	}
	var told []string
	for _, e := range list.Items {
		told = append(told, e.Type+" "+e.Reason+": "+e.Message)
	}
	return told
}

// listed is one release in `sluice helm list -o json`.
type listed struct {
	ID, Namespace, Name, Owner, Declared string
	State, Reason, Unblock               string
	Chart, ChartDigest, Status, Tests    string
	Release                              string `json:"release_state"`
	ChartVersion                         string `json:"chart_version"`
	AppVersion                           string `json:"app_version"`
	Revision                             int
	NextAttempt                          time.Time `json:"next_attempt"`
}

// releases are those that the daemon knows, with more arguments.
func (s *site) releases(args ...string) []listed {
	s.t.Helper()
	var list []listed
	out := s.must("sluice", append([]string{"--config", s.config, "helm", "list", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		s.t.Fatalf("%v in %s", err, out)
	}
	return list
}

// release is the one with the address, or of the name; a zero one if there is
// none.
func (s *site) release(name string) listed {
	s.t.Helper()
	for _, r := range s.releases() {
		if r.ID == name || r.Name == name {
			return r
		}
	}
	return listed{}
}

// waitRelease waits until a release is as wanted, which is "ready in_sync" for
// example: the state of its node and its own.
func (s *site) waitRelease(name, want string) listed {
	s.t.Helper()
	return s.waitFor(name, want, func(r listed) bool { return r.State+" "+r.Release == want })
}

// waitFor waits for a condition of a release.
func (s *site) waitFor(name, what string, cond func(listed) bool) (last listed) {
	s.t.Helper()
	met := false
	defer func() {
		if !met {
			s.t.Logf("release %s: %+v\n%s", name, last, s.sluice("status"))
		}
	}()
	s.eventually(time.Minute, fmt.Sprintf("release %s is %s", name, what), func() bool {
		last = s.release(name)
		return cond(last)
	})
	met = true
	return last
}

// shown is what a release of showValues shows: its chart, and its values.
func (w *world) shown(namespace, name string) (chart, values string) {
	w.t.Helper()
	out := w.must("kubectl", "-n", namespace, "get", "configmap", name, "-o", `jsonpath={.data.chart}{"\n"}{.data.values}`, "--ignore-not-found")
	chart, values, _ = strings.Cut(out, "\n")
	return chart, values
}
