package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/event"
	"github.com/sluice-gitops/sluice/core/pluginhost"
	"github.com/sluice-gitops/sluice/core/rollout/rollouttest"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/renderer"
	"github.com/sluice-gitops/sluice/sdk/schema"
	"github.com/sluice-gitops/sluice/sdk/secret"
	"github.com/sluice-gitops/sluice/sdk/source"
)

func TestMain(m *testing.M) {
	// The goroutine of os/signal lives as long as the process: it must not begin
	// in a bubble of synctest.
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	signal.Stop(c)
	// So must the resolver's lock, which is made at the first look-up.
	if _, err := net.DefaultResolver.LookupHost(context.Background(), "localhost"); err != nil {
		fmt.Fprintln(os.Stderr, "look up localhost:", err)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("os/signal.loop"))
}

// world is what a test's configuration talks to: sources by url, one target
// for each applier, all in memory.
type world struct {
	t       *testing.T
	dir     string
	mu      sync.Mutex
	repos   map[string]*repo
	targets map[string]*rollouttest.Target
	opens   map[string]int
	broken  map[string]error // by node: why it does not open
	warned  diag.List        // what each open says
	plugins []pluginhost.PluginStatus
	open    int // instances

	renders   int
	runs      bool              // the targets tell what runs
	helms     bool              // there is a helm plugin
	maxChart  string            // what its max_chart is by default
	away      error             // what the appliers say of their targets
	cluster   *helmCluster      // what it opens
	resources *resourceStore    // nil: the appliers keep none
	passwords map[string]string // see accounts
}

func newWorld(t *testing.T) *world {
	return &world{
		t: t, dir: t.TempDir(), repos: map[string]*repo{}, targets: map[string]*rollouttest.Target{},
		opens: map[string]int{}, broken: map[string]error{}, passwords: map[string]string{},
	}
}

func (w *world) repo(url string) *repo {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.repos[url] == nil {
		w.repos[url] = &repo{files: map[string]string{}}
	}
	return w.repos[url]
}

func (w *world) target(applier string) *rollouttest.Target {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.targets[applier] == nil {
		w.targets[applier] = &rollouttest.Target{}
	}
	return w.targets[applier]
}

// breakOpen makes the node fail to open, or open again if err is nil.
func (w *world) breakOpen(node string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken[node] = err
}

// memoryHost is a plugin host whose plugins are Go values.
type memoryHost struct{ w *world }

func (h *memoryHost) Schema(kind, typ string) (*schema.Schema, string, error) {
	if typ != "memory" && typ != "kubernetes" && typ != "guarded" && (typ != "helm" && typ != "git" || !h.w.helms) {
		return nil, "", fmt.Errorf("%w: %s/%s", config.ErrNoPlugin, kind, typ)
	}
	s := &schema.Schema{}
	if kind == "source" {
		s.Attributes = []schema.Attribute{{Name: "url", Type: schema.Type{Kind: schema.String}, Required: true}}
	}
	if typ == "git" {
		s.Attributes = append(s.Attributes, schema.Attribute{Name: "branch", Type: schema.Type{Kind: schema.String}})
	}
	if typ == "kubernetes" || typ == "helm" {
		s.Attributes = []schema.Attribute{{Name: "context", Type: schema.Type{Kind: schema.String}}}
	}
	if typ == "helm" {
		def, err := json.Marshal(h.w.maxChart)
		if err != nil {
			return nil, "", err
		}
		s.Attributes = append(s.Attributes, schema.Attribute{Name: "max_chart", Type: schema.Type{Kind: schema.String}, Default: def})
	}
	if typ == "guarded" { // it is written to only with this
		s.Blocks = []schema.Block{{Name: "write", Nesting: schema.Single}}
	}
	return s, "plugin memory", nil
}

func (h *memoryHost) Open(_ context.Context, kind, _, name string, cfg json.RawMessage) (instance, diag.List, error) {
	h.w.mu.Lock()
	err, warned := h.w.broken[name], slices.Clone(h.w.warned)
	h.w.opens[name]++
	h.w.mu.Unlock()
	if err != nil {
		return nil, warned, err
	}
	var c struct{ URL string }
	if err := json.Unmarshal(cfg, &c); err != nil {
		return nil, nil, err
	}
	in := &memoryInstance{w: h.w}
	switch kind {
	case "source":
		in.source = h.w.repo(c.URL)
	case kindRenderer:
		in.renders = true
	case kindCredential:
		in.name = name
	case kindHelm:
		in.helm = h.w.cluster
	default:
		in.applier = h.w.target(name)
		if h.w.resources != nil {
			in.applier = &keeper{h.w.target(name), h.w.resources}
		}
	}
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	h.w.open++
	return in, warned, nil
}

func (h *memoryHost) Status() []pluginhost.PluginStatus {
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	return slices.Clone(h.w.plugins)
}

func (h *memoryHost) Protect(...string) {}

func (h *memoryHost) Close(context.Context) error { return nil }

type memoryInstance struct {
	w       *world
	source  source.Source
	applier applier.Applier
	name    string // of a credential instance
	renders bool
	helm    helm.Helm
}

func (i *memoryInstance) Source() source.Source       { return i.source }
func (i *memoryInstance) Applier() applier.Applier    { return i.applier }
func (i *memoryInstance) Renderer() renderer.Renderer { return apps{i.w} }
func (i *memoryInstance) Helm() helm.Helm             { return i.helm }
func (i *memoryInstance) Registry() registryInstance  { return accounts{i.w, i.name} }
func (i *memoryInstance) Has(capability string) bool {
	switch capability {
	case helm.CanList, helm.CanRead, helm.CanPlanRollback:
		return i.helm != nil
	case applier.CanKeepResources, applier.CanInspect:
		return i.applier != nil && i.w.resources != nil
	case applier.CanKeepSecrets:
		return i.applier != nil
	case applier.CanListWorkloads:
		return i.applier != nil && i.w.runs
	case source.CanCommit, source.CanMark, source.CanBranch:
		r, ok := i.source.(*repo)
		return ok && r.writable
	case registry.ForConsumers:
		return strings.HasPrefix(i.name, "pull secrets")
	}
	return false
}

// accounts is a credential plugin: the passwords of the world by instance, host
// and, for pull secrets, their names.
type accounts struct {
	w    *world
	name string
}

func (a accounts) Credential(_ context.Context, req registry.Request) (registry.Credential, error) {
	a.w.mu.Lock()
	defer a.w.mu.Unlock()
	password, ok := a.w.passwords[strings.Join(append([]string{a.name, req.Host}, req.Consumer.PullSecrets...), " ")]
	if !ok {
		return registry.Credential{}, registry.ErrAnonymous
	}
	return registry.Credential{Username: "user", Password: secret.New(password), Scope: registry.ScopeRegistry}, nil
}

func (a accounts) Tags(context.Context, registry.Request, func(registry.Tag)) error {
	return registry.ErrAnonymous
}

func (i *memoryInstance) Check(context.Context) (answered bool, problem error) {
	i.w.mu.Lock()
	defer i.w.mu.Unlock()
	return true, i.w.away
}

func (i *memoryInstance) Close(context.Context) error {
	i.w.mu.Lock()
	defer i.w.mu.Unlock()
	i.w.open--
	return nil
}

// configure writes the configuration.
func (w *world) configure(hcl string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, "sluice.hcl"), []byte(hcl), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) engine() *Engine {
	w.t.Helper()
	host := &memoryHost{w}
	e, err := New(Options{
		ConfigPaths: []string{filepath.Join(w.dir, "sluice.hcl")},
		DataDir:     filepath.Join(w.dir, "data"),
		Env:         func(string) (string, bool) { return "", false },
		newHost:     func(hostOptions) (pluginHost, error) { return host, nil },
		Workers:     4,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

// start runs an engine as a daemon until the test ends.
func (w *world) start(hcl string) *Engine {
	w.t.Helper()
	w.configure(hcl)
	e := w.engine()
	if diags := e.Load(w.t.Context()); diags.HasErrors() {
		w.t.Fatal(diags.Err())
	}
	if err := e.start(w.t.Context(), true); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { w.stop(e) })
	return e
}

func (w *world) stop(e *Engine) {
	w.t.Helper()
	if err := e.Close(context.WithoutCancel(w.t.Context())); err != nil {
		w.t.Error(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open != 0 {
		w.t.Errorf("%d instances are still open", w.open)
	}
}

// expect waits, in a bubble, until nothing is left to do now, and checks a
// node's state and a part of its reason.
func expect(t *testing.T, e *Engine, id string, state State, reason string) Node {
	t.Helper()
	synctest.Wait()
	d, err := e.Node(id)
	if err != nil {
		t.Fatal(err)
	}
	if d.Node.State != state || !strings.Contains(d.Node.Reason, reason) {
		t.Fatalf("%s is %s: %q, want %s: %q", id, d.Node.State, d.Node.Reason, state, reason)
	}
	return d.Node
}

func eventReasons(t *testing.T, e *Engine, node string) []string {
	t.Helper()
	var reasons []string
	err := e.Events(t.Context(), EventQuery{}, func(ev event.Event) error {
		if ev.Node == node {
			reasons = append(reasons, ev.Reason)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return reasons
}

const shop = `
source "memory" "shop" { url = "mem://shop" }
sync "shop" { source = source.memory.shop }
`

const kube = "applier.kubernetes.default"

func names(n int) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("c%02d", i))
	}
	return list
}

func sleepFor(t *testing.T, d time.Duration) {
	t.Helper()
	time.Sleep(d) // in a bubble: takes no time
	synctest.Wait()
}
