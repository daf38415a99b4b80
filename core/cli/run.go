package cli

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/api"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

func newRun(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the daemon",
		Long: `Run the daemon until SIGINT or SIGTERM.

It takes up changes of the configuration by itself and on SIGHUP. A broken
configuration is refused, and the last good one goes on.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e, err := a.engine(slog.LevelInfo)
			if err != nil {
				return err
			}
			logger, err := a.logger(slog.LevelInfo)
			if err != nil {
				return err
			}
			err = api.Run(cmd.Context(), e, api.Options{Logger: logger})
			if diags, ok := diag.From(err); ok {
				a.renderDiagnostics(a.Err, diags, e.Config())
				return fmt.Errorf("the configuration has errors, nothing was started")
			}
			return err
		},
	}
}
