package sdktest_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// target is a small cluster in memory. It behaves: objects have owners, owned
// objects are remembered, watchers see changes.
type target struct {
	mu      sync.Mutex
	objects map[applier.Ref]stored
	origins map[string]string // by owner
	secrets map[applier.SecretRef]secret.Secret
	leases  map[string]bool
	marks   map[string]string // by owner and name
	kept    map[applier.Ref]*keeping
	told    map[applier.ResourceEvent]int
	changed chan struct{} // closed and replaced by each change
}

type stored struct {
	owner  string
	object map[string]any
}

func newTarget() *target {
	return &target{
		objects: map[applier.Ref]stored{},
		origins: map[string]string{},
		secrets: map[applier.SecretRef]secret.Secret{},
		leases:  map[string]bool{},
		marks:   map[string]string{},
		kept:    map[applier.Ref]*keeping{},
		told:    map[applier.ResourceEvent]int{},
		changed: make(chan struct{}),
	}
}

// plugin offers the target as applier/memory.
func (m *target) plugin() sdk.Plugin {
	open := func(context.Context, struct{}, sdk.Env) (*target, error) { return m, nil }
	return sdk.Plugin{Name: "memory", Version: "0.1.0", Kinds: []sdk.Kind{applier.New("memory", open)}}
}

func load(set applier.Set) (map[applier.Ref]applier.Item, error) {
	items := map[applier.Ref]applier.Item{}
	for item, err := range set.Items() {
		if err != nil {
			return nil, err
		}
		kind, _ := item.Object["kind"].(string)
		name, _ := item.Object["name"].(string)
		items[applier.Ref{Kind: kind, Name: name}] = item
	}
	return items, nil
}

func byName(a, b applier.Ref) int { return cmp.Compare(a.String(), b.String()) }

func (m *target) Plan(ctx context.Context, set applier.Set, emit func(applier.Change)) (applier.Summary, error) {
	items, err := load(set)
	if err != nil {
		return applier.Summary{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, ref := range slices.SortedFunc(maps.Keys(items), byName) {
		if ctx.Err() != nil {
			return applier.Summary{}, ctx.Err()
		}
		emit(m.plan(ref, items[ref], set))
	}
	for _, ref := range m.owned(set.Owner) {
		if _, wanted := items[ref]; wanted {
			continue
		}
		if set.Complete {
			emit(applier.Change{Ref: ref, Action: applier.Prune})
		} else {
			emit(applier.Change{Ref: ref, Action: applier.Kept, Reason: "the load was incomplete"})
		}
	}
	return applier.Summary{Owned: len(m.owned(set.Owner)), Origin: m.origins[set.Owner]}, nil
}

func (m *target) plan(ref applier.Ref, item applier.Item, set applier.Set) applier.Change {
	c := applier.Change{Ref: ref, Action: applier.Create, File: item.File, Line: item.Line}
	have, exists := m.objects[ref]
	switch {
	case item.Ignore != "":
		c.Action, c.Reason = applier.Ignored, item.Ignore
	case !exists:
	case have.owner != set.Owner && !set.Adopt:
		d := diag.Errorf(nil, "owned by %s", have.owner)
		d.Subject = &diag.Range{File: item.File, Start: diag.Pos{Line: item.Line}}
		c.Action, c.Diagnostic = applier.Refused, &d
	case reflect.DeepEqual(have.object, item.Object):
		c.Action = applier.None
	default:
		c.Action = applier.Update
	}
	return c
}

// owned lists what owner has, in order. The caller holds the lock.
func (m *target) owned(owner string) []applier.Ref {
	var refs []applier.Ref
	for ref, s := range m.objects {
		if s.owner == owner {
			refs = append(refs, ref)
		}
	}
	slices.SortFunc(refs, byName)
	return refs
}

func (m *target) notify() {
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *target) Apply(_ context.Context, set applier.Set, emit func(applier.Result)) (applier.Summary, error) {
	items, err := load(set)
	if err != nil {
		return applier.Summary{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	outcomes := map[applier.Action]applier.Outcome{
		applier.Create: applier.Created, applier.Update: applier.Updated,
		applier.None: applier.Unchanged, applier.Refused: applier.Failed, applier.Ignored: applier.Skipped,
	}
	for _, ref := range slices.SortedFunc(maps.Keys(items), byName) {
		c := m.plan(ref, items[ref], set)
		if c.Action == applier.Create || c.Action == applier.Update {
			m.objects[ref] = stored{set.Owner, items[ref].Object}
		}
		emit(applier.Result{Ref: ref, Outcome: outcomes[c.Action], File: c.File, Line: c.Line, Diagnostic: c.Diagnostic})
	}
	m.origins[set.Owner] = set.Origin
	m.notify()
	return applier.Summary{Owned: len(m.owned(set.Owner))}, nil
}

func (m *target) Delete(ctx context.Context, del applier.Deletion, emit func(applier.Result)) (applier.Summary, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, ref := range del.Refs {
		if m.objects[ref].owner != del.Owner {
			d := diag.Errorf(nil, "not owned by %s", del.Owner)
			emit(applier.Result{Ref: ref, Outcome: applier.Failed, Diagnostic: &d})
			continue
		}
		if err := m.remove(ctx, ref); err != nil {
			return applier.Summary{}, err
		}
		emit(applier.Result{Ref: ref, Outcome: applier.Deleted})
	}
	m.notify()
	return applier.Summary{Owned: len(m.owned(del.Owner))}, nil
}

func (m *target) Status(_ context.Context, owner string, emit func(applier.ObjectStatus)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, ref := range m.owned(owner) {
		emit(applier.ObjectStatus{Ref: ref, Health: applier.Current})
	}
	return nil
}

func (m *target) Watch(ctx context.Context, owner string, emit func(applier.ObjectStatus)) error {
	for first := true; ; first = false {
		m.mu.Lock()
		changed := m.changed
		m.mu.Unlock()
		if err := m.Status(ctx, owner, emit); err != nil {
			return err
		}
		if first {
			emit(applier.ObjectStatus{})
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (m *target) Workloads(_ context.Context, f applier.WorkloadFilter, emit func(applier.Workload)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, ref := range slices.SortedFunc(maps.Keys(m.objects), byName) {
		owner := m.objects[ref].owner
		if f.Owner != "" && f.Owner != owner || f.Namespace != "" && f.Namespace != ref.Namespace {
			continue
		}
		object, err := json.Marshal(m.objects[ref].object)
		if err != nil {
			return err
		}
		if slices.Contains(f.Kinds, applier.Kind{Group: ref.Group, Kind: ref.Kind}) {
			emit(applier.Workload{Ref: ref, Owner: owner, Object: object})
			continue
		}
		emit(applier.Workload{
			Ref: ref, Owner: owner, PullSecrets: []string{"pull"},
			Containers: []applier.Container{{Name: "main", Image: "busybox:1"}},
			Rollout:    applier.Rollout{Phase: applier.RolloutReady},
		})
	}
	return nil
}

func (m *target) ReadSecret(_ context.Context, ref applier.SecretRef) (secret.Secret, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	value, ok := m.secrets[ref]
	if !ok {
		return secret.Secret{}, fmt.Errorf("%s: %w", ref.Name, applier.ErrNoSecret)
	}
	return value, nil
}

func (m *target) WriteSecret(_ context.Context, ref applier.SecretRef, value secret.Secret) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.secrets[ref] = value
	return nil
}

func (m *target) Mark(_ context.Context, owner, name, value string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, recorded := m.origins[owner]; !recorded {
		return fmt.Errorf("%s has no record here", owner)
	}
	m.marks[owner+" "+name] = value
	return nil
}

func (m *target) Lease(ctx context.Context, name, _ string, acquired func()) error {
	m.mu.Lock()
	taken := m.leases[name]
	m.leases[name] = true
	m.mu.Unlock()
	if taken {
		return errors.New("taken")
	}
	acquired()
	<-ctx.Done()
	return ctx.Err()
}
