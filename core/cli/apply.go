package cli

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/engine"
)

type applyFlags struct {
	dryRun  bool
	approve []string
}

func newApply(a *app) *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use:   "apply [NAME...]",
		Short: "Plan, apply and exit, without a daemon",
		Long: `Bring the cluster to the newest commit once, for the named syncs and releases or
all, and exit: for a pipeline, or a first try. The rules are the daemon's own: a
large deletion is not done unless --approve names the plan's digest ("all"
approves whatever there is to delete).`,
		ValidArgsFunction: a.completeNodes(plannable),
		RunE: func(cmd *cobra.Command, names []string) error {
			return a.withEngine(cmd.Context(), func(e *engine.Engine) error {
				if f.dryRun {
					return a.plan(cmd.Context(), e, names)
				}
				return a.apply(cmd.Context(), e, names, f)
			})
		},
	}
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, `only show the plan, as "sluice plan" does`)
	cmd.Flags().StringArrayVar(&f.approve, "approve", nil, "approve the deletion with this digest, or all; may be repeated")
	return cmd
}

func (a *app) apply(ctx context.Context, e *engine.Engine, names []string, f applyFlags) error {
	began, progress := time.Now(), a.progress()
	details, err := e.Apply(ctx, engine.ApplyOptions{Names: names, Approve: f.approve, Progress: progress.show})
	progress.end()
	if err != nil {
		return err
	}
	if err := a.view(details, func(w io.Writer) error { return a.writeOutcomes(w, details, began) }); err != nil {
		return err
	}
	return outcomeCode(details)
}
