package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/core/rollout/rollouttest"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// helmCluster is a helm with releases in memory: as Helm does, it keeps their
// revisions, and whose they are.
type helmCluster struct {
	mu       sync.Mutex
	releases map[helm.ReleaseRef][]installed // newest first
	fail     map[string]error                // by operation and name: "install ghost", "uninstall ghost"
	hang     map[string]bool                 // the same: until the call ends
	leave    map[string]string               // the same: the status that it leaves the release in before it fails
	manifest string                          // of each revision
	reads    int                             // of contents
	calls    []string
}

type installed struct {
	helm.Revision
	values secret.Secret
}

func newHelmCluster() *helmCluster {
	return &helmCluster{releases: map[helm.ReleaseRef][]installed{}, fail: map[string]error{}, hang: map[string]bool{}, leave: map[string]string{}}
}

// install makes a release as the helm command does: nobody's.
func (c *helmCluster) install(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	namespace, name, _ := strings.Cut(name, "/")
	ref := helm.ReleaseRef{Namespace: namespace, Name: name}
	c.releases[ref] = []installed{{Revision: helm.Revision{Number: 1, Status: "deployed", Updated: time.Now()}}}
}

func (c *helmCluster) failing(what string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail[what] = err
}

func (c *helmCluster) hanging(what string, hang bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hang[what] = hang
}

func (c *helmCluster) leaving(what, status string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leave[what] = status
}

// takeCalls returns what was done since it was called last.
func (c *helmCluster) takeCalls() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := strings.Join(c.calls, ", ")
	c.calls = nil
	return text
}

// names lists what is installed.
func (c *helmCluster) names() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []string
	for ref, revisions := range c.releases {
		list = append(list, fmt.Sprintf("%s/%s %s", ref.Namespace, ref.Name, revisions[0].values.Reveal()))
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// begin notes an operation, and returns what is to come of it.
func (c *helmCluster) begin(ctx context.Context, what string) error {
	c.mu.Lock()
	c.calls = append(c.calls, what)
	err, hang := c.fail[what], c.hang[what]
	c.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

func (c *helmCluster) Resolve(_ context.Context, ref helm.ChartRef) (helm.Chart, error) {
	text, err := os.ReadFile(filepath.Join(ref.Tree, ref.Path, "Chart.yaml"))
	if err != nil {
		return helm.Chart{}, fmt.Errorf("%s holds no chart", ref.Path)
	}
	sum := sha256.Sum256(text)
	return helm.Chart{Ref: ref, Version: "1.0.0", Digest: "sha256:" + hex.EncodeToString(sum[:])}, nil
}

func (c *helmCluster) Pull(_ context.Context, chart helm.Chart, dir string) error {
	text, err := os.ReadFile(filepath.Join(chart.Ref.Tree, chart.Ref.Path, "Chart.yaml"))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "Chart.yaml"), text, 0o600)
}

func (c *helmCluster) Template(_ context.Context, r helm.Release, out string) (helm.Rendered, error) {
	line := fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q}}`+"\n", r.Ref.Name)
	return helm.Rendered{}, os.WriteFile(out, []byte(line), 0o600)
}

func (c *helmCluster) Plan(_ context.Context, r helm.Release, emit func(helm.Change)) (helm.Rendered, error) {
	emit(helm.Change{Kind: "ConfigMap", Namespace: r.Ref.Namespace, Name: r.Ref.Name, Action: "create"})
	return helm.Rendered{Notes: "enjoy"}, nil
}

func (c *helmCluster) Upgrade(ctx context.Context, r helm.Release, _ func(helm.Event)) (helm.Revision, error) {
	c.mu.Lock()
	before := c.releases[r.Ref]
	c.mu.Unlock()
	what, number := "install ", 1
	if len(before) > 0 {
		what, number = "upgrade ", before[0].Number+1
		if before[0].Owner != r.Owner && !r.Adopt {
			return helm.Revision{}, helm.ErrOwned
		}
	}
	err := c.begin(ctx, what+r.Ref.Name)
	made := installed{values: r.Values, Revision: helm.Revision{
		Number: number, Status: "deployed", Chart: filepath.Base(r.Chart) + "-1.0.0", Updated: time.Now(), Owner: r.Owner, Digest: r.Digest,
	}}
	if err != nil {
		made.Status = "failed"
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.releases[r.Ref] = append([]installed{made}, before...)
	return made.Revision, err
}

func (c *helmCluster) Rollback(ctx context.Context, r helm.Rollback, _ func(helm.Event)) (helm.Revision, error) {
	if err := c.begin(ctx, "rollback "+r.Ref.Name); err != nil {
		return helm.Revision{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.releases[r.Ref]
	for i, old := range list {
		if old.Number == r.To || r.To == 0 && i == 1 {
			old.Number, old.Digest = list[0].Number+1, ""
			c.releases[r.Ref] = append([]installed{old}, list...)
			return old.Revision, nil
		}
	}
	return helm.Revision{}, helm.ErrNotFound
}

func (c *helmCluster) PlanRollback(_ context.Context, r helm.Rollback, emit func(helm.Change)) (helm.Revision, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.releases[r.Ref]
	for _, old := range list {
		if old.Number == r.To {
			diff := fmt.Sprintf("-%s\n+%s\n", list[0].values.Reveal(), old.values.Reveal())
			emit(helm.Change{Kind: "ConfigMap", Namespace: r.Ref.Namespace, Name: r.Ref.Name, Action: "update", Diff: diff})
			return old.Revision, nil
		}
	}
	return helm.Revision{}, helm.ErrNotFound
}

func (c *helmCluster) Uninstall(ctx context.Context, u helm.Uninstall, _ func(helm.Event)) error {
	c.mu.Lock()
	list := c.releases[u.Ref]
	c.mu.Unlock()
	if len(list) == 0 {
		return nil
	}
	if u.Owner != "" && list[0].Owner != u.Owner {
		return helm.ErrOwned
	}
	err := c.begin(ctx, "uninstall "+u.Ref.Name)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		list[0].Status = cmp.Or(c.leave["uninstall "+u.Ref.Name], list[0].Status)
		return err
	}
	delete(c.releases, u.Ref)
	return nil
}

func (c *helmCluster) Test(ctx context.Context, t helm.Test, emit func(helm.Event)) error {
	emit(helm.Event{Message: "the tests begin"})
	err := c.begin(ctx, "test "+t.Ref.Name)
	emit(helm.Event{Message: "the tests have ended"})
	return err
}

func (c *helmCluster) History(_ context.Context, ref helm.ReleaseRef, emit func(helm.Revision)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.releases[ref] {
		emit(r.Revision)
	}
	return nil
}

func (c *helmCluster) Status(_ context.Context, ref helm.ReleaseRef) (helm.Revision, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if list := c.releases[ref]; len(list) > 0 {
		return list[0].Revision, nil
	}
	return helm.Revision{}, nil
}

func (c *helmCluster) Unlock(_ context.Context, ref helm.ReleaseRef) (helm.Revision, error) {
	return c.Status(context.Background(), ref)
}

func (c *helmCluster) List(_ context.Context, namespace string, emit func(helm.ReleaseRef, helm.Revision)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ref := range slices.SortedFunc(maps.Keys(c.releases), func(a, b helm.ReleaseRef) int { return cmp.Compare(a.Name, b.Name) }) {
		if namespace == "" || ref.Namespace == namespace {
			emit(ref, c.releases[ref][0].Revision)
		}
	}
	return nil
}

func (c *helmCluster) Content(_ context.Context, ref helm.ReleaseRef, number int) (helm.Content, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads++
	for _, r := range c.releases[ref] {
		if number == 0 || r.Number == number {
			return helm.Content{Revision: r.Revision, Values: r.values, Computed: r.values, Notes: "enjoy", Manifest: secret.New(c.manifest)}, nil
		}
	}
	return helm.Content{}, helm.ErrNotFound
}

// keeper is an applier whose target holds custom resources.
type keeper struct {
	*rollouttest.Target
	store *resourceStore
}

// resourceStore is custom resources in memory: with generations, finalizers and
// deletion as a cluster has them.
type resourceStore struct {
	mu      sync.Mutex
	objects map[applier.Ref]*stored
	serial  int
	log     []applier.Resource // each change, for those who follow
	changed chan struct{}
	events  []applier.ResourceEvent
	configs map[applier.ConfigRef]string
	broken  error                             // what Follow says
	made    map[applier.Ref]map[string]string // other objects, with their annotations
	asked   int                               // for one of those

	forbidden string // why resources cannot be seen
	patches   int
}

type stored struct {
	uid        string
	made       time.Time
	spec       map[string]any
	status     map[string]any
	marks      map[string]string // annotations
	finalizers []string
	resource   applier.Resource // flags of a deletion
}

func newResourceStore() *resourceStore {
	return &resourceStore{objects: map[applier.Ref]*stored{}, changed: make(chan struct{}), configs: map[applier.ConfigRef]string{}}
}

// helmReleaseRef is the resource NAMESPACE/NAME; without one, of the namespace demo.
func helmReleaseRef(name string) applier.Ref {
	namespace, of, elsewhere := strings.Cut(name, "/")
	if !elsewhere {
		namespace, of = "demo", name
	}
	return applier.Ref{Group: "helm.fluxcd.io", Kind: "HelmRelease", Namespace: namespace, Name: of}
}

// apply makes or changes a resource.
func (s *resourceStore) apply(name string, spec map[string]any, annotations ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ref := helmReleaseRef(name)
	o := s.objects[ref]
	if o == nil {
		s.serial++
		o = &stored{uid: fmt.Sprint("uid-", s.serial), made: time.Now(), status: map[string]any{}}
		s.objects[ref] = o
	}
	o.spec, o.marks = spec, map[string]string{}
	for _, a := range annotations {
		key, value, _ := strings.Cut(a, "=")
		o.marks[key] = value
	}
	s.tell(ref, o)
}

// remove deletes a resource as `kubectl delete` does: its finalizers hold it.
func (s *resourceStore) remove(name string, flags applier.Resource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ref := helmReleaseRef(name)
	o := s.objects[ref]
	o.resource = flags
	o.resource.Deleting = true
	s.settle(ref, o)
}

// settle tells of a change; what is being deleted goes with its last finalizer.
// s.mu is held.
func (s *resourceStore) settle(ref applier.Ref, o *stored) {
	if o.resource.Deleting && len(o.finalizers) == 0 {
		delete(s.objects, ref)
		s.emit(applier.Resource{Ref: ref, UID: o.uid, Deleted: true})
		return
	}
	s.tell(ref, o)
}

func (s *resourceStore) tell(ref applier.Ref, o *stored) { s.emit(s.resource(ref, o)) }

func (s *resourceStore) emit(r applier.Resource) {
	s.log = append(s.log, r)
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *resourceStore) resource(ref applier.Ref, o *stored) applier.Resource {
	r := o.resource
	object, err := json.Marshal(map[string]any{
		"apiVersion": ref.Group + "/v1", "kind": ref.Kind,
		"metadata": map[string]any{"name": ref.Name, "namespace": ref.Namespace, "uid": o.uid, "creationTimestamp": o.made.Format(time.RFC3339), "generation": 1, "finalizers": o.finalizers, "annotations": o.marks},
		"spec":     o.spec, "status": o.status,
	})
	if err != nil {
		panic(err)
	}
	r.Ref, r.UID, r.Generation, r.Object = ref, o.uid, 1, object
	return r
}

func (s *resourceStore) exists(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[helmReleaseRef(name)] != nil
}

// field returns a field of a resource's status.
func (s *resourceStore) field(name, field string) any {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.objects[helmReleaseRef(name)]; o != nil {
		return o.status[field]
	}
	return nil
}

// condition returns a condition of a resource: its status and message.
func (s *resourceStore) condition(name, condition string) string {
	list, _ := s.field(name, "conditions").([]any)
	for _, c := range list {
		if c, ok := c.(map[string]any); ok && c["type"] == condition {
			return fmt.Sprintf("%v: %v", c["status"], c["message"])
		}
	}
	return ""
}

// wantWarning checks that a warning was left about a resource.
func (s *resourceStore) wantWarning(t *testing.T, text string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.ContainsFunc(s.events, func(ev applier.ResourceEvent) bool { return ev.Warning && strings.Contains(ev.Message, text) }) {
		t.Errorf("no warning tells %q: %+v", text, s.events)
	}
}

func (k *keeper) Follow(ctx context.Context, _ applier.ResourceFilter, emit func(applier.Resource)) error {
	s := k.store
	s.mu.Lock()
	if s.broken != nil {
		defer s.mu.Unlock()
		return s.broken
	}
	var list []applier.Resource
	for ref, o := range s.objects {
		list = append(list, s.resource(ref, o))
	}
	if s.forbidden != "" {
		list = []applier.Resource{{Ref: applier.Ref{Group: "helm.fluxcd.io", Kind: "HelmRelease"}, Problem: s.forbidden}}
	}
	at := len(s.log)
	s.mu.Unlock()
	for _, r := range list {
		emit(r)
	}
	emit(applier.Resource{})
	for {
		s.mu.Lock()
		news, changed := s.log[at:], s.changed
		at = len(s.log)
		s.mu.Unlock()
		for _, r := range news {
			emit(r)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (k *keeper) PatchResource(_ context.Context, p applier.ResourcePatch) (applier.Resource, error) {
	s := k.store
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.objects[p.Ref]
	if o == nil || o.uid != p.UID || p.AddFinalizer != "" && o.resource.Deleting {
		return applier.Resource{}, applier.ErrNoResource
	}
	s.patches++
	if p.AddFinalizer != "" && !slices.Contains(o.finalizers, p.AddFinalizer) {
		o.finalizers = append(o.finalizers, p.AddFinalizer)
	}
	if len(p.Status) > 0 {
		var patch map[string]any
		if err := json.Unmarshal(p.Status, &patch); err != nil {
			return applier.Resource{}, err
		}
		for key, value := range patch {
			if value == nil {
				delete(o.status, key)
			} else {
				o.status[key] = value
			}
		}
	}
	o.finalizers = slices.DeleteFunc(o.finalizers, func(f string) bool { return f == p.RemoveFinalizer })
	s.settle(p.Ref, o)
	return s.resource(p.Ref, o), nil
}

func (k *keeper) TellResource(_ context.Context, ev applier.ResourceEvent) error {
	k.store.mu.Lock()
	defer k.store.mu.Unlock()
	k.store.events = append(k.store.events, ev)
	return nil
}

func (k *keeper) ReadConfig(_ context.Context, ref applier.ConfigRef) (string, error) {
	k.store.mu.Lock()
	defer k.store.mu.Unlock()
	if text, ok := k.store.configs[ref]; ok {
		return text, nil
	}
	return "", applier.ErrNoConfig
}

func (k *keeper) Inspect(_ context.Context, q applier.Inquiry) (applier.Inspected, error) {
	k.store.mu.Lock()
	defer k.store.mu.Unlock()
	k.store.asked++
	for ref, annotations := range k.store.made {
		if strings.EqualFold(ref.Kind, q.Kind) && ref.Namespace == cmp.Or(q.Namespace, "default") && ref.Name == q.Name {
			return applier.Inspected{Ref: ref, Annotations: annotations}, nil
		}
	}
	return applier.Inspected{}, applier.ErrNoResource
}

var errNoCluster = errors.New("the cluster does not answer")
