package main

import (
	"context"
	"time"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/cluster"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/desired"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/inventory"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/live"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/plan"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/resources"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/watch"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/workloads"
	"github.com/sluice-gitops/sluice/sdk/applier"
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
	runs   *workloads.Lister
	marks  *marks
	keeper *resources.Keeper

	recordTimeout time.Duration // for writing down what was done, after a cancel too
}

func newTarget(c Config, o cluster.Options, version string) (*target, error) {
	client, err := cluster.Connect(o)
	if err != nil {
		return nil, err
	}
	c.defaults(client.Namespace)
	store := inventory.Store{Client: client.Dynamic, Metadata: client.Metadata, Namespace: c.InventoryNamespace, Manager: c.FieldManager, Version: version}
	hub := watch.New(watch.Options{Metadata: client.Metadata, Dynamic: client.Dynamic, Manager: c.FieldManager, Namespaces: c.Namespaces})
	runs := workloads.New(workloads.Options{
		Client: client, Namespaces: c.Namespaces, Owners: store.Owners, Log: o.Log,
		ID: func(owner string) string { return inventory.ID(owner, c.InventoryNamespace) },
	})
	keeper := resources.New(resources.Options{
		Client: client, Namespaces: c.Namespaces, Default: c.InventoryNamespace, Manager: c.FieldManager + resourcesManager, Log: o.Log,
	})
	return &target{
		config: c, client: client, store: store, claims: newClaims(), hub: hub, ledger: watch.NewLedger(), runs: runs, marks: newMarks(), keeper: keeper,
		recordTimeout: 15 * time.Second,
	}, nil
}

// Close ends every watch.
func (t *target) Close() error {
	t.hub.Close()
	t.client.Close()
	return nil
}

// Check implements sdk.Checker: it tells of an API server that does not answer.
func (t *target) Check(context.Context) error { return t.client.Answers() }

// view is everything that was found out for a plan.
type view struct {
	client *cluster.Client // as whom the set is applied
	inv    *inventory.Inventory
	set    desired.Set
	steps  []plan.Step
	live   live.Facts
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
func (t *target) look(ctx context.Context, set applier.Set, want desired.Set) (*view, error) {
	client, err := t.client.As(set.As)
	if err != nil {
		return nil, err
	}
	v := &view{client: client, set: want}
	if v.inv, err = t.store.Load(ctx, set.Owner); err != nil {
		return nil, err
	}
	t.post(v.inv, nil)
	if v.live, err = t.facts(ctx, client, want, v.inv); err != nil {
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

// facts reads the cluster. An owner without an inventory is taken for new, for
// whom no list of members is worth its price, until an object turns up that
// carries its label.
func (t *target) facts(ctx context.Context, client *cluster.Client, want desired.Set, inv *inventory.Inventory) (live.Facts, error) {
	if inv.Exists() {
		return t.reader(client).Read(ctx, inv.ID, wants(want, inv))
	}
	facts, err := t.reader(client).Read(ctx, "", wants(want, inv))
	if err != nil {
		return live.Facts{}, err
	}
	for _, fact := range facts.All() {
		if fact.Member == inv.ID {
			inv.Lost()
			return t.reader(client).Read(ctx, inv.ID, wants(want, inv))
		}
	}
	return facts, nil
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

// owned counts the recorded objects that exist, or of which nobody can tell.
func (v *view) owned() int {
	n := 0
	for _, record := range v.inv.Records() {
		if _, exists := v.live.Get(record.Ref); exists || v.live.Blind(record.Ref) != "" {
			n++
		}
	}
	return n
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}
