package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/inventory"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/live"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/prune"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

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
	p := prune.Pruner{Metadata: client.Metadata, Kinds: client.Kinds, Namespaces: t.config.Namespaces, Timeout: orDefault(del.Timeout, deleteTimeout)}
	var gone []applier.Ref
	p.Run(ctx, inv, del.Refs, facts, func(r applier.Result) {
		if r.Outcome == applier.Deleted {
			gone = append(gone, r.Ref)
		}
		emit(r)
	})
	err = t.forgetGone(ctx, inv, gone)
	return applier.Summary{Owned: inv.Len()}, errors.Join(context.Cause(ctx), err)
}

// forgetGone takes the objects that are gone out of the inventory, and removes
// an inventory of nothing.
func (t *target) forgetGone(ctx context.Context, inv *inventory.Inventory, gone []applier.Ref) error {
	err := t.record(ctx, inv, func(inv *inventory.Inventory) {
		for _, ref := range gone {
			inv.Drop(ref)
		}
	})
	t.post(inv, nil)
	if err != nil || inv.Len() > 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.recordTimeout)
	defer cancel()
	t.marks.saw(inv.Owner, nil)
	return t.store.Remove(ctx, inv)
}
