package main

import (
	"context"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/inventory"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/watch"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// Status implements applier.Applier.
func (t *target) Status(ctx context.Context, owner string, emit func(applier.ObjectStatus)) error {
	return t.watch(ctx, owner, true, func(s applier.ObjectStatus) {
		if s.Ref.Kind != "" { // the end of the first pass is the end of the call
			emit(s)
		}
	})
}

// Watch implements applier.Applier.
func (t *target) Watch(ctx context.Context, owner string, emit func(applier.ObjectStatus)) error {
	return t.watch(ctx, owner, false, emit)
}

// Workloads implements applier.WorkloadLister.
func (t *target) Workloads(ctx context.Context, filter applier.WorkloadFilter, emit func(applier.Workload)) error {
	return t.runs.List(ctx, filter, emit)
}

func (t *target) watch(ctx context.Context, owner string, once bool, emit func(applier.ObjectStatus)) error {
	load := func(ctx context.Context) error {
		inv, err := t.store.Load(ctx, owner)
		if err == nil {
			t.post(inv, nil)
		}
		return err
	}
	return t.hub.Watch(ctx, t.ledger, owner, inventory.ID(owner, t.config.InventoryNamespace), t.client.Kinds, load, once, emit)
}

// post tells the watches what owner has, and which versions the last apply
// led to; and Mark, what was found.
func (t *target) post(inv *inventory.Inventory, versions map[applier.Ref]string) {
	t.marks.saw(inv.Owner, inv.Marks)
	records := make([]watch.Record, 0, inv.Len())
	for _, r := range inv.Records() {
		records = append(records, watch.Record{
			Ref: r.Ref, Resource: r.Resource, UID: r.UID, Owned: r.Owned, Version: versions[r.Ref.Identity()],
		})
	}
	t.ledger.Post(inv.Owner, records)
}
