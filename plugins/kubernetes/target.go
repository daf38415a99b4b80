package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/apply"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/desired"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/diff"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/inventory"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/live"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/plan"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/prune"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/watch"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

const (
	stepTimeout   = 2 * time.Minute // of a wait for one object of an apply
	deleteTimeout = 5 * time.Minute // of the wait for all objects of a deletion
)

// target is one cluster with the objects that its owners have in it.
type target struct {
	config Config
	client *cluster.Client
	store  inventory.Store
	claims *claims
	hub    *watch.Hub
	ledger *watch.Ledger

	recordTimeout time.Duration // for writing down what was done, after a cancel too
}

func newTarget(c Config, o cluster.Options, version string) (*target, error) {
	client, err := cluster.Connect(o)
	if err != nil {
		return nil, err
	}
	c.defaults(client.Namespace)
	store := inventory.Store{Client: client.Dynamic, Namespace: c.InventoryNamespace, Manager: c.FieldManager, Version: version}
	hub := watch.New(watch.Options{Metadata: client.Metadata, Dynamic: client.Dynamic, Manager: c.FieldManager, Namespaces: c.Namespaces})
	return &target{
		config: c, client: client, store: store, claims: newClaims(), hub: hub, ledger: watch.NewLedger(),
		recordTimeout: 15 * time.Second,
	}, nil
}

// Close ends every watch.
func (t *target) Close() error {
	t.hub.Close()
	t.client.Close()
	return nil
}

// view is everything that was found out for a plan.
type view struct {
	inv   *inventory.Inventory
	set   desired.Set
	steps []plan.Step
	live  live.Facts
}

func (t *target) reader(c *cluster.Client) live.Reader {
	return live.Reader{Client: c.Metadata, Kinds: c.Kinds, Manager: t.config.FieldManager, Namespaces: t.config.Namespaces}
}

func (t *target) read(ctx context.Context, set applier.Set) (desired.Set, error) {
	return desired.Read(ctx, set.Objects, desired.Options{
		Namespace:  t.config.DefaultNamespace,
		Namespaces: t.config.Namespaces,
		Label:      live.MemberLabel,
		Member:     inventory.ID(set.Owner, t.config.InventoryNamespace),
	}, t.client.Kinds)
}

// look reads the inventory and the cluster, and computes the plan.
func (t *target) look(ctx context.Context, client *cluster.Client, set applier.Set, want desired.Set) (*view, error) {
	v := &view{set: want}
	var err error
	if v.inv, err = t.store.Load(ctx, set.Owner); err != nil {
		return nil, err
	}
	t.post(v.inv, nil)
	if v.live, err = t.reader(client).Read(ctx, v.inv.ID, wants(want, v.inv)); err != nil {
		return nil, err
	}
	owners, err := t.owners(ctx, v)
	if err != nil {
		return nil, err
	}
	v.steps = plan.Compute(plan.Input{
		Owner: set.Owner, Set: want, Inventory: v.inv, Live: v.live, Owners: owners,
		Complete: set.Complete, Adopt: set.Adopt,
	})
	return v, nil
}

// wants are the objects to read facts of: those of the set and the recorded.
func wants(want desired.Set, inv *inventory.Inventory) []live.Want {
	var out []live.Want
	for _, obj := range want.Objects {
		if obj.Problem == nil {
			out = append(out, live.Want{Ref: obj.Ref, Kind: obj.Kind})
		}
	}
	for _, record := range inv.Records() {
		out = append(out, live.Want{Ref: record.Ref, Kind: record.Kind()})
	}
	return out
}

// owners finds the names of the other owners of objects that are wanted.
func (t *target) owners(ctx context.Context, v *view) (map[string]string, error) {
	names := map[string]string{}
	for _, obj := range v.set.Objects {
		fact, _ := v.live.Get(obj.Ref)
		if fact.Member == "" || fact.Member == v.inv.ID {
			continue
		}
		if _, asked := names[fact.Member]; asked {
			continue
		}
		name, err := t.store.OwnerOf(ctx, fact.Member)
		if err != nil {
			return nil, err
		}
		names[fact.Member] = name
	}
	return names, nil
}

// owned counts the recorded objects that exist.
func (v *view) owned() int {
	n := 0
	for _, record := range v.inv.Records() {
		if _, exists := v.live.Get(record.Ref); exists {
			n++
		}
	}
	return n
}

// Plan implements applier.Applier.
func (t *target) Plan(ctx context.Context, set applier.Set, emit func(applier.Change)) (applier.Summary, error) {
	client, err := t.client.As(set.As)
	if err != nil {
		return applier.Summary{}, err
	}
	want, err := t.read(ctx, set)
	if err != nil {
		return applier.Summary{}, err
	}
	v, err := t.look(ctx, client, set, want)
	if err != nil {
		return applier.Summary{}, err
	}
	if set.Diff {
		differ := diff.Differ{Client: client.Dynamic, Manager: t.config.FieldManager, Recreate: set.Recreate}
		if err := differ.Run(ctx, v.steps); err != nil {
			return applier.Summary{}, err
		}
	}
	for _, s := range v.steps {
		emit(s.Change)
	}
	if len(v.inv.Damage) > 0 {
		emit(t.damage(v.inv))
	}
	return applier.Summary{Owned: v.owned()}, nil
}

// damage tells of an inventory that is not whole.
func (t *target) damage(inv *inventory.Inventory) applier.Change {
	return applier.Change{
		Ref:    applier.Ref{Version: "v1", Kind: "ConfigMap", Namespace: t.config.InventoryNamespace, Name: inventory.Name(inv.Owner)},
		Action: applier.Kept,
		Reason: "the inventory of this sync is damaged: " + inv.Damage[0],
		Diagnostic: &diag.Diagnostic{
			Severity: diag.Warning,
			Summary:  fmt.Sprintf("the inventory of %q is damaged: %s", inv.Owner, strings.Join(inv.Damage, "; ")),
			Detail:   "Nothing is pruned. The next apply writes it anew, from the set and from the labels of the objects in the cluster.",
		},
	}
}

// Apply implements applier.Applier.
func (t *target) Apply(ctx context.Context, set applier.Set, emit func(applier.Result)) (applier.Summary, error) {
	client, err := t.client.As(set.As)
	if err != nil {
		return applier.Summary{}, err
	}
	want, err := t.read(ctx, set)
	if err != nil {
		return applier.Summary{}, err
	}
	defer t.ledger.Begin(set.Owner)()
	defer t.claims.take(set.Owner, want.Objects)()
	v, err := t.look(ctx, client, set, want)
	if err != nil {
		return applier.Summary{}, err
	}
	if err := t.intend(ctx, set, v); err != nil {
		return applier.Summary{}, err
	}
	var records []inventory.Record
	versions := map[applier.Ref]string{}
	a := apply.Applier{
		Metadata: client.Metadata, Dynamic: client.Dynamic, Manager: t.config.FieldManager,
		Recreate: set.Recreate, Timeout: orDefault(set.Timeout, stepTimeout),
	}
	a.Run(ctx, v.steps, func(d apply.Done) {
		if d.Record != nil {
			records = append(records, *d.Record)
			versions[d.Ref.Identity()] = d.Version
		}
		emit(d.Result)
	})
	err = t.record(ctx, v.inv, func(inv *inventory.Inventory) {
		for _, r := range records {
			inv.Put(r)
		}
	})
	t.post(v.inv, versions)
	return applier.Summary{Owned: v.inv.Len()}, errors.Join(context.Cause(ctx), err)
}

// intend writes the union of what the owner has and will have, and forgets
// what is neither wanted nor there nor the owner's.
func (t *target) intend(ctx context.Context, set applier.Set, v *view) error {
	v.inv.Revision = set.Revision
	kept := map[applier.Ref]bool{}
	for _, s := range v.steps {
		ref := s.Ref.Identity()
		switch s.Action {
		case applier.Create, applier.Update:
			if _, known := v.inv.Get(ref); !known {
				v.inv.Put(inventory.Record{Ref: s.Ref, Resource: s.Object.Kind.Resource})
			}
			kept[ref] = true
		case applier.Refused:
			kept[ref] = !v.foreign(ref)
		default:
			kept[ref] = true
		}
	}
	if set.Complete && len(v.inv.Damage) == 0 && !v.set.Anonymous {
		for _, r := range v.inv.Records() {
			if _, exists := v.live.Get(r.Ref); !kept[r.Ref.Identity()] && (!exists || v.foreign(r.Ref)) {
				v.inv.Drop(r.Ref)
			}
		}
	}
	v.adoptMembers()
	return t.store.Save(ctx, v.inv)
}

func (v *view) foreign(ref applier.Ref) bool {
	fact, _ := v.live.Get(ref)
	return fact.Member != "" && fact.Member != v.inv.ID
}

// adoptMembers mends a damaged inventory: every object that was found with our
// label is written down again. Objects that a controller made are left out,
// since some controllers copy labels.
func (v *view) adoptMembers() {
	if len(v.inv.Damage) == 0 {
		return
	}
	for ref, fact := range v.live.All() {
		if _, known := v.inv.Get(ref); !known && fact.Member == v.inv.ID && !fact.Controlled {
			v.inv.Put(inventory.Record{Ref: ref})
		}
	}
}

// record changes the inventory and writes it, even when ctx has ended. If it
// was written by somebody else meanwhile, the change is made on theirs.
func (t *target) record(ctx context.Context, inv *inventory.Inventory, change func(*inventory.Inventory)) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.recordTimeout)
	defer cancel()
	change(inv)
	err := t.store.Save(ctx, inv)
	if !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
		return err
	}
	fresh, err := t.store.Load(ctx, inv.Owner)
	if err != nil {
		return err
	}
	change(fresh)
	fresh.Revision = inv.Revision
	if err := t.store.Save(ctx, fresh); err != nil {
		return err
	}
	*inv = *fresh
	return nil
}

// Delete implements applier.Applier.
func (t *target) Delete(ctx context.Context, del applier.Deletion, emit func(applier.Result)) (applier.Summary, error) {
	client, err := t.client.As(del.As)
	if err != nil {
		return applier.Summary{}, err
	}
	defer t.ledger.Begin(del.Owner)()
	inv, err := t.store.Load(ctx, del.Owner)
	if err != nil {
		return applier.Summary{}, err
	}
	if len(inv.Damage) > 0 {
		return applier.Summary{}, fmt.Errorf("nothing is deleted on the word of a damaged inventory (%s); the next apply writes it anew", inv.Damage[0])
	}
	var wants []live.Want
	for _, ref := range del.Refs {
		record, _ := inv.Get(ref)
		wants = append(wants, live.Want{Ref: ref, Kind: record.Kind()})
	}
	facts, err := t.reader(client).Read(ctx, inv.ID, wants)
	if err != nil {
		return applier.Summary{}, err
	}
	var gone []applier.Ref
	p := prune.Pruner{Metadata: client.Metadata, Kinds: client.Kinds, Namespaces: t.config.Namespaces, Timeout: orDefault(del.Timeout, deleteTimeout)}
	p.Run(ctx, inv, del.Refs, facts, func(r applier.Result) {
		if r.Outcome == applier.Deleted {
			gone = append(gone, r.Ref)
		}
		emit(r)
	})
	err = t.record(ctx, inv, func(inv *inventory.Inventory) {
		for _, ref := range gone {
			inv.Drop(ref)
		}
	})
	t.post(inv, nil)
	if err == nil && inv.Len() == 0 {
		err = t.store.Remove(context.WithoutCancel(ctx), inv)
	}
	return applier.Summary{Owned: inv.Len()}, errors.Join(context.Cause(ctx), err)
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}
