package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/rollout"
)

// validation is the JSON form of what validate found.
type validation struct {
	Valid    bool              `json:"valid"`
	Problems []rollout.Problem `json:"problems"`
}

func newValidate(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "validate",
		Short: "Check the configuration without running anything",
		Long: `Check the configuration: syntax, references, and every argument of every plugin
against its schema. No repository, cluster or daemon is needed.

Exit code 0: valid, perhaps with warnings. 1: there are errors.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.validate(cmd.Context()) },
	}
}

func (a *app) validate(ctx context.Context) error {
	e, err := a.engine(levelSilent)
	if err != nil {
		return err
	}
	defer func() { _ = e.Close(ctx) }()
	diags := e.Load(ctx)
	v := validation{Valid: !diags.HasErrors(), Problems: rollout.Problems(diags)}
	if err := a.view(v, func(w io.Writer) error {
		a.renderDiagnostics(a.Err, diags, e.Config())
		if !v.Valid {
			return nil
		}
		_, err := fmt.Fprintln(w, "The configuration is valid.")
		return err
	}); err != nil {
		return err
	}
	if !v.Valid {
		return exitCode(ExitError)
	}
	return nil
}
