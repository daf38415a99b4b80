// Package rollouttest provides a target in memory that behaves: it keeps
// objects, owners and health as a cluster does, and fails where a test says.
// It is for the tests of rollout and engine.
package rollouttest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Target is an applier.Applier and an applier.SecretStore. The zero Target is empty and accepts
// everything; its methods may be called concurrently.
type Target struct {
	mu       sync.Mutex
	objects  map[applier.Ref]*object
	calls    map[string]int
	rejected map[string]string // object name to reason
	refused  map[string]string // object name to reason
	skipped  map[string]string // object name to reason
	kept     map[string]string // object name to reason
	origins  map[string]string // by owner
	writers  map[string]string // by owner
	down     error
	fresh    applier.Health
	gate     chan struct{}
	watchers map[chan struct{}]string
	secrets  map[applier.SecretRef]secret.Secret
	running  []applier.Workload
}

type object struct {
	owner   string
	content string
	health  applier.Health
	message string
}

var (
	_ applier.Applier        = (*Target)(nil)
	_ applier.SecretStore    = (*Target)(nil)
	_ applier.WorkloadLister = (*Target)(nil)
)

// Reject makes Apply and Delete fail objects called name, or accept them if reason
// is empty.
func (t *Target) Reject(name, reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rejected == nil {
		t.rejected = map[string]string{}
	}
	t.rejected[name] = reason
}

// Refuse makes Plan refuse objects called name, as one of an unknown kind, or
// take them if reason is empty.
func (t *Target) Refuse(name, reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.refused == nil {
		t.refused = map[string]string{}
	}
	t.refused[name] = reason
}

// Skip makes Apply leave objects called name for a later run, as one that is
// being deleted, or apply them if reason is empty.
func (t *Target) Skip(name, reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.skipped == nil {
		t.skipped = map[string]string{}
	}
	t.skipped[name] = reason
}

// Keep makes Plan keep objects called name that are wanted no more, as one of
// which it cannot tell whether it is there, or prune them if reason is empty.
func (t *Target) Keep(name, reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kept == nil {
		t.kept = map[string]string{}
	}
	t.kept[name] = reason
}

// Down makes every call fail with err, or work again if err is nil.
func (t *Target) Down(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.down = err
}

// Fresh sets the health of objects that are created or updated from now on.
func (t *Target) Fresh(h applier.Health) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fresh = h
}

// Hold makes Apply wait until the returned function is called.
func (t *Target) Hold() (release func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	gate := make(chan struct{})
	t.gate = gate
	return sync.OnceFunc(func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		close(gate)
		t.gate = nil
	})
}

// SetHealth changes the health of all objects called name.
func (t *Target) SetHealth(name string, h applier.Health, message string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for ref, o := range t.objects {
		if ref.Name == name {
			o.health, o.message = h, message
		}
	}
	t.wake()
}

// Origin returns what the target has recorded for owner.
func (t *Target) Origin(owner string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.origins[owner]
}

// WrittenBy has writer be the one who applied for owner last.
func (t *Target) WrittenBy(owner, writer string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writers[owner] = writer
}

// ForgetOrigins makes the target as one that records none.
func (t *Target) ForgetOrigins() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.origins, t.writers = nil, nil
}

// Run makes these what runs, whatever was applied.
func (t *Target) Run(workloads ...applier.Workload) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running = workloads
}

// Workloads implements applier.WorkloadLister.
func (t *Target) Workloads(_ context.Context, filter applier.WorkloadFilter, emit func(applier.Workload)) error {
	err := t.enter("Workloads")
	running := slices.Clone(t.running)
	t.mu.Unlock()
	if err != nil {
		return err
	}
	for _, w := range running {
		if filter.Namespace == "" || filter.Namespace == w.Ref.Namespace {
			emit(w)
		}
	}
	return nil
}

// Names returns the names of owner's objects, sorted.
func (t *Target) Names(owner string) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var names []string
	for ref, o := range t.objects {
		if o.owner == owner {
			names = append(names, ref.Name)
		}
	}
	slices.Sort(names)
	return names
}

// Calls returns how often the method called name was called.
func (t *Target) Calls(name string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.calls[name]
}

// enter counts a call; t.mu is held when it returns.
func (t *Target) enter(name string) error {
	t.mu.Lock()
	if t.calls == nil {
		t.calls, t.objects, t.watchers = map[string]int{}, orMake(t.objects), map[chan struct{}]string{}
	}
	t.calls[name]++
	return t.down
}

func orMake(m map[applier.Ref]*object) map[applier.Ref]*object {
	if m == nil {
		return map[applier.Ref]*object{}
	}
	return m
}

// Plan implements applier.Applier.
func (t *Target) Plan(_ context.Context, set applier.Set, emit func(applier.Change)) (applier.Summary, error) {
	items, err := readItems(set.Objects)
	if err != nil {
		return applier.Summary{}, err
	}
	defer t.mu.Unlock()
	if err := t.enter("Plan"); err != nil {
		return applier.Summary{}, err
	}
	wanted := map[applier.Ref]bool{}
	for _, it := range items {
		ref := refOf(it)
		wanted[ref] = true
		emit(t.change(set, it, ref))
	}
	for _, ref := range t.owned(set.Owner) {
		if !wanted[ref] {
			emit(t.gone(set, ref))
		}
	}
	return applier.Summary{Owned: len(t.owned(set.Owner)), Origin: t.origins[set.Owner], Writer: t.writers[set.Owner]}, nil
}

func (t *Target) change(set applier.Set, it applier.Item, ref applier.Ref) applier.Change {
	c := applier.Change{Ref: ref, File: it.File, Line: it.Line}
	live := t.objects[ref]
	switch {
	case t.refused[ref.Name] != "":
		d := diag.Errorf(nil, "%s", t.refused[ref.Name])
		c.Action, c.Diagnostic = applier.Refused, &d
	case live == nil:
		c.Action, c.Reason = applier.Create, "not in the target"
	case live.owner != set.Owner && !set.Adopt:
		d := diag.Errorf(nil, "%s belongs to %s", ref, live.owner)
		c.Action, c.Diagnostic = applier.Refused, &d
	case live.owner == set.Owner && live.content == content(it):
		c.Action = applier.None
	default:
		c.Action, c.Reason = applier.Update, "file changed"
	}
	if set.Diff && c.Action == applier.Update {
		c.Diff = "- " + live.content + "\n+ " + content(it) + "\n"
	}
	return c
}

func (t *Target) gone(set applier.Set, ref applier.Ref) applier.Change {
	c := applier.Change{Ref: ref, Action: applier.Prune, Reason: "left the load", Protected: ref.Kind == "Namespace"}
	switch reason := t.kept[ref.Name]; {
	case !set.Complete:
		c.Action, c.Reason = applier.Kept, "the load was not complete"
	case reason != "":
		c.Action, c.Reason = applier.Kept, reason
	}
	return c
}

// Apply implements applier.Applier.
func (t *Target) Apply(ctx context.Context, set applier.Set, emit func(applier.Result)) (applier.Summary, error) {
	items, err := readItems(set.Objects)
	if err != nil {
		return applier.Summary{}, err
	}
	defer t.mu.Unlock()
	if err := t.enter("Apply"); err != nil {
		return applier.Summary{}, err
	}
	if err := t.pass(ctx); err != nil {
		return applier.Summary{}, err
	}
	if t.origins == nil {
		t.origins, t.writers = map[string]string{}, map[string]string{}
	}
	t.origins[set.Owner] = set.Origin
	t.writers[set.Owner] = set.Writer
	for _, it := range items {
		emit(t.applyOne(set, it))
	}
	t.wake()
	return applier.Summary{Owned: len(t.owned(set.Owner))}, nil
}

// pass waits at the gate, if there is one. t.mu is held before and after.
func (t *Target) pass(ctx context.Context) error {
	gate := t.gate
	if gate == nil {
		return nil
	}
	t.mu.Unlock()
	defer t.mu.Lock()
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *Target) applyOne(set applier.Set, it applier.Item) applier.Result {
	ref := refOf(it)
	res := applier.Result{Ref: ref, File: it.File, Line: it.Line}
	c := t.change(set, it, ref)
	switch reason := t.rejected[ref.Name]; {
	case reason != "":
		d := diag.Errorf(nil, "%s", reason)
		res.Outcome, res.Diagnostic = applier.Failed, &d
	case c.Action == applier.Refused:
		res.Outcome, res.Diagnostic = applier.Failed, c.Diagnostic
	case c.Action == applier.None:
		res.Outcome = applier.Unchanged
	case t.skipped[ref.Name] != "":
		res.Outcome, res.Reason = applier.Skipped, t.skipped[ref.Name]
	default:
		res.Outcome = applier.Created
		if t.objects[ref] != nil {
			res.Outcome = applier.Updated
		}
		health := t.fresh
		if health == "" {
			health = applier.Current
		}
		t.objects[ref] = &object{owner: set.Owner, content: content(it), health: health}
	}
	return res
}

// Delete implements applier.Applier.
func (t *Target) Delete(_ context.Context, del applier.Deletion, emit func(applier.Result)) (applier.Summary, error) {
	defer t.mu.Unlock()
	if err := t.enter("Delete"); err != nil {
		return applier.Summary{}, err
	}
	for _, ref := range del.Refs {
		ref = ref.Identity()
		if o := t.objects[ref]; o == nil || o.owner != del.Owner {
			d := diag.Errorf(nil, "%s is not owned by %s", ref, del.Owner)
			emit(applier.Result{Ref: ref, Outcome: applier.Failed, Diagnostic: &d})
			continue
		}
		if reason := t.rejected[ref.Name]; reason != "" {
			d := diag.Errorf(nil, "%s", reason)
			emit(applier.Result{Ref: ref, Outcome: applier.Failed, Diagnostic: &d})
			continue
		}
		delete(t.objects, ref)
		emit(applier.Result{Ref: ref, Outcome: applier.Deleted})
	}
	t.wake()
	return applier.Summary{Owned: len(t.owned(del.Owner))}, nil
}

// ReadSecret implements applier.SecretStore.
func (t *Target) ReadSecret(_ context.Context, ref applier.SecretRef) (secret.Secret, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, ok := t.secrets[ref]
	if !ok {
		return secret.Secret{}, applier.ErrNoSecret
	}
	return s, nil
}

// WriteSecret implements applier.SecretStore.
func (t *Target) WriteSecret(_ context.Context, ref applier.SecretRef, value secret.Secret) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.secrets == nil {
		t.secrets = map[applier.SecretRef]secret.Secret{}
	}
	t.secrets[ref] = value
	return nil
}

// Status implements applier.Applier.
func (t *Target) Status(_ context.Context, owner string, emit func(applier.ObjectStatus)) error {
	defer t.mu.Unlock()
	if err := t.enter("Status"); err != nil {
		return err
	}
	for _, s := range t.statuses(owner) {
		emit(s)
	}
	return nil
}

// Watch implements applier.Applier. It emits everything again after each
// change, which the contract allows.
func (t *Target) Watch(ctx context.Context, owner string, emit func(applier.ObjectStatus)) error {
	news := make(chan struct{}, 1)
	if err := t.subscribe(owner, news); err != nil {
		return err
	}
	defer t.unsubscribe(news)
	for first := true; ; first = false {
		t.mu.Lock()
		statuses := t.statuses(owner)
		t.mu.Unlock()
		for _, s := range statuses {
			emit(s)
		}
		if first {
			emit(applier.ObjectStatus{})
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (t *Target) subscribe(owner string, news chan struct{}) error {
	defer t.mu.Unlock()
	if err := t.enter("Watch"); err != nil {
		return err
	}
	t.watchers[news] = owner
	return nil
}

func (t *Target) unsubscribe(news chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.watchers, news)
}

func (t *Target) wake() {
	for news := range t.watchers {
		select {
		case news <- struct{}{}:
		default:
		}
	}
}

func (t *Target) statuses(owner string) []applier.ObjectStatus {
	var list []applier.ObjectStatus
	for _, ref := range t.owned(owner) {
		o := t.objects[ref]
		list = append(list, applier.ObjectStatus{Ref: ref, Health: o.health, Message: o.message})
	}
	return list
}

// owned returns owner's objects in a fixed order.
func (t *Target) owned(owner string) []applier.Ref {
	refs := slices.Collect(maps.Keys(t.objects))
	refs = slices.DeleteFunc(refs, func(r applier.Ref) bool { return t.objects[r].owner != owner })
	slices.SortFunc(refs, func(a, b applier.Ref) int {
		switch {
		case a.String() < b.String():
			return -1
		case a.String() > b.String():
			return 1
		}
		return 0
	})
	return refs
}

func readItems(path string) ([]applier.Item, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var items []applier.Item
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var it applier.Item
		if err := json.Unmarshal(lines.Bytes(), &it); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		items = append(items, it)
	}
	return items, lines.Err()
}

func refOf(it applier.Item) applier.Ref {
	kind, _ := it.Object["kind"].(string)
	meta, _ := it.Object["metadata"].(map[string]any)
	name, _ := meta["name"].(string)
	namespace, _ := meta["namespace"].(string)
	version, _ := it.Object["apiVersion"].(string)
	group, _, named := strings.Cut(version, "/")
	if !named {
		group = "" // of the core
	}
	return applier.Ref{Group: group, Kind: kind, Namespace: namespace, Name: name}
}

func content(it applier.Item) string {
	b, err := json.Marshal(it.Object)
	if err != nil {
		panic(err) // it came from JSON
	}
	return string(b)
}
