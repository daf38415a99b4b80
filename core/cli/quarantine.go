package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/images/gate"
	"github.com/sluice-gitops/sluice/core/updates"
)

func newImagesQuarantine(a *app) *cobra.Command {
	run := func(cmd *cobra.Command, _ []string) error { return a.quarantine(cmd.Context()) }
	cmd := &cobra.Command{
		Use:   "quarantine",
		Short: "Show the images that automation leaves alone since a rollout of them failed",
		Args:  cobra.NoArgs,
		RunE:  run,
	}
	cmd.AddCommand(&cobra.Command{Use: "list", Short: "The same as quarantine alone", Args: cobra.NoArgs, RunE: run}, newQuarantineLift(a))
	return cmd
}

func (a *app) quarantine(ctx context.Context) error {
	client, err := a.client(ctx)
	if err != nil {
		return err
	}
	list, err := client.Quarantined(ctx)
	if err != nil {
		return err
	}
	if len(list) == 0 && !a.output.machine() {
		_, _ = fmt.Fprintln(a.Err, "no image is in quarantine")
		return nil
	}
	return a.view(list, func(w io.Writer) error { return writeQuarantine(w, list) })
}

func newQuarantineLift(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "lift IMAGE",
		Short: "Let automation roll out an image again",
		Long: `Let automation roll out an image again: name:tag, or all that is in quarantine of
a name.`,
		Example: `  sluice images quarantine lift quay.io/acme/web:1.4.2`,
		Args:    needs("IMAGE", 1, 1),

		ValidArgsFunction: a.completeQuarantined,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			by := (&changeFlags{}).by(cmd.Context())
			lifted, err := client.Unquarantine(cmd.Context(), updates.UnquarantineRequest{Image: args[0], By: by})
			if err != nil {
				return err
			}
			return a.view(lifted, func(w io.Writer) error {
				for _, q := range lifted {
					if _, err := fmt.Fprintf(w, "%s: lifted\n", visible(q.Repository+":"+q.Tag)); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func writeQuarantine(w io.Writer, list []gate.Quarantine) error {
	return table(w, "IMAGE\tFOR\tSYNC\tWORKLOAD\tCONTAINER\tREASON", func(row func(...any)) {
		for _, q := range list {
			row(q.Repository+":"+q.Tag, age(q.Since), q.Sync, q.Workload, q.Container, firstLine(q.Reason))
		}
	})
}
