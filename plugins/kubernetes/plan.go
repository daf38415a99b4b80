package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/sluice-gitops/sluice/plugins/kubernetes/diff"
	"github.com/sluice-gitops/sluice/plugins/kubernetes/inventory"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Plan implements applier.Applier.
func (t *target) Plan(ctx context.Context, set applier.Set, emit func(applier.Change)) (applier.Summary, error) {
	want, err := t.read(ctx, set)
	if err != nil {
		return applier.Summary{}, err
	}
	v, err := t.look(ctx, set, want)
	if err != nil {
		return applier.Summary{}, err
	}
	if set.Diff {
		differ := diff.Differ{Client: v.client.Dynamic, Manager: t.config.FieldManager, Recreate: set.Recreate}
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
	return applier.Summary{Owned: v.owned(), Origin: v.inv.Origin, Writer: v.inv.Writer}, nil
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
