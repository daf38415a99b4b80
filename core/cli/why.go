package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func newWhy(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "why TARGET",
		Short: "Explain the state of a sync, a source, a release, an image automation or an object",
		Long: `Explain the state of a sync, a source, a release, an image automation or an
object: who is responsible for it, what became of it, and what would change that.
An object of a Helm release, which the release's chart makes, is explained by the
release: where that is declared, how it stands, and what was done to it last.
For the images of a workload, see ` + "`sluice images why`" + `.`,
		Example: `  sluice why shop
  sluice why source.git.shop
  sluice why release.ghost
  sluice why -n shop deployment/web
  sluice why demo:service/ghost`,
		Args:              needs("TARGET", 1, 1),
		ValidArgsFunction: a.completeNodes(anyNode),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			x, err := client.Why(cmd.Context(), args[0], a.namespace)
			if err != nil {
				return err
			}
			return a.view(x, func(w io.Writer) error {
				for _, line := range x.Lines {
					if _, err := fmt.Fprintln(w, visibleLines(line)); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}
