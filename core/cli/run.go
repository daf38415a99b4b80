package cli

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/api"
	"github.com/sluice-gitops/sluice/core/engine"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

func newRun(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Run the daemon",
		Long: `Run the daemon until SIGINT or SIGTERM.

It takes up changes of the configuration by itself and on SIGHUP. A broken
configuration is refused, and the last good one goes on. -o json logs JSON.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := a.engineOptions(slog.LevelInfo)
			if err != nil {
				return err
			}
			logger, level, err := a.logger(slog.LevelInfo)
			if err != nil {
				return err
			}
			o.Logger = logger
			if a.logLevel == "" {
				o.LogLevel = level // log_level of the configuration sets it
			}
			e, err := engine.New(o)
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
