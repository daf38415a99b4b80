package main

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/apply"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/inventory"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// Apply implements applier.Applier.
func (t *target) Apply(ctx context.Context, set applier.Set, emit func(applier.Result)) (applier.Summary, error) {
	want, err := t.read(ctx, set)
	if err != nil {
		return applier.Summary{}, err
	}
	defer t.ledger.Begin(set.Owner)()
	defer t.claims.take(set.Owner, want.Objects)() // before the cluster is read
	v, err := t.look(ctx, set, want)
	if err != nil {
		return applier.Summary{}, err
	}
	if err := t.intend(ctx, set, v); err != nil {
		return applier.Summary{}, err
	}
	err = t.carryOut(ctx, set, v, emit)
	return applier.Summary{Owned: v.inv.Len()}, errors.Join(context.Cause(ctx), err)
}

// carryOut applies what the plan says and writes down what was done, even when
// ctx ends.
func (t *target) carryOut(ctx context.Context, set applier.Set, v *view, emit func(applier.Result)) error {
	a := apply.Applier{
		Metadata: v.client.Metadata, Dynamic: v.client.Dynamic, Manager: t.config.FieldManager,
		Recreate: set.Recreate, Timeout: orDefault(set.Timeout, stepTimeout),
	}
	var records []inventory.Record
	versions := map[applier.Ref]string{}
	a.Run(ctx, v.steps, func(d apply.Done) {
		if d.Record != nil {
			records = append(records, *d.Record)
			versions[d.Ref.Identity()] = d.Version
		}
		emit(d.Result)
	})
	err := t.record(ctx, v.inv, func(inv *inventory.Inventory) {
		for _, r := range records {
			inv.Put(r)
		}
	})
	t.post(v.inv, versions)
	return err
}

// intend writes the union of what the owner has and will have, and forgets
// what is neither wanted nor there nor the owner's.
func (t *target) intend(ctx context.Context, set applier.Set, v *view) error {
	v.inv.Revision, v.inv.Origin, v.inv.Writer = set.Revision, set.Origin, set.Writer
	for _, s := range v.steps {
		if s.Action != applier.Create && s.Action != applier.Update {
			continue
		}
		if _, known := v.inv.Get(s.Ref); !known {
			v.inv.Put(inventory.Record{Ref: s.Ref, Resource: s.Object.Kind.Resource})
		}
	}
	if set.Complete && len(v.inv.Damage) == 0 && !v.set.Anonymous {
		v.forget()
	}
	v.adoptMembers()
	return t.store.Save(ctx, v.inv)
}

// forget drops the records of objects that no step is about, or that another
// owner has by now.
func (v *view) forget() {
	kept := map[applier.Ref]bool{}
	for _, s := range v.steps {
		kept[s.Ref.Identity()] = s.Action != applier.Refused || !v.foreign(s.Ref)
	}
	for _, r := range v.inv.Records() {
		if _, exists := v.live.Get(r.Ref); !kept[r.Ref.Identity()] && (!exists || v.foreign(r.Ref)) {
			v.inv.Drop(r.Ref)
		}
	}
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
	fresh.Revision, fresh.Origin, fresh.Writer = inv.Revision, inv.Origin, inv.Writer
	if err := t.store.Save(ctx, fresh); err != nil {
		return err
	}
	*inv = *fresh
	return nil
}
