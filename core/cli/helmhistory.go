package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/engine"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

func newHelmHistory(a *app) *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:     "history NAME",
		Aliases: []string{"hist"},
		Short:   "Show the revisions of a release, newest last",
		Long: `Show the revisions of a release, newest last. DECLARED-BY is who declared what the
revision was made from; one made by hand, or by a rollback, has none.`,
		Example: `  sluice helm history demo/ghost
  sluice helm hist demo/ghost -l 3`,
		Args:              needs("NAME", 1, 1),
		ValidArgsFunction: a.completeReleases,
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 0 {
				return withHint(fmt.Errorf("--limit %d: want a count", limit), "0 is all")
			}
			return a.helmHistory(cmd.Context(), args[0], limit)
		},
	}
	cmd.Flags().IntVarP(&limit, "limit", "l", 0, "how many of the newest to show, 0 for all")
	cmd.Flags().IntVar(&limit, "max", 0, "the same as --limit")
	cmd.Flags().Lookup("max").Hidden = true // what helm calls it
	return cmd
}

func (a *app) helmHistory(ctx context.Context, name string, limit int) error {
	client, err := a.client(ctx)
	if err != nil {
		return err
	}
	list, err := client.HelmHistory(ctx, a.releaseName(name))
	if err != nil {
		return err
	}
	if len(list) == 0 && !a.output.machine() {
		return withHint(errors.New(name+" is not installed"), "`sluice helm status %s` tells why", name)
	}
	if limit > 0 {
		list = list[:min(limit, len(list))]
	}
	slices.Reverse(list)
	return a.view(list, func(w io.Writer) error {
		d, err := client.HelmStatus(ctx, a.releaseName(name))
		if err != nil {
			return err
		}
		return writeHistory(w, list, d.HelmRelease, a.width(w))
	})
}

// writeHistory names the present declaration of the release as lists do.
func writeHistory(w io.Writer, list []helm.Revision, present engine.HelmRelease, width int) error {
	g := grid{
		header:     []string{"REVISION", "UPDATED", "STATUS", "CHART", "APP-VERSION", "TESTS", "DECLARED-BY", "DESCRIPTION"},
		expendable: []string{"APP-VERSION", "DECLARED-BY", "TESTS", "DESCRIPTION"},
	}
	for _, r := range list {
		owner := r.Owner
		switch {
		case r.Digest == "":
			owner = ""
		case owner == present.Owner:
			owner = declaredBy(present)
		}
		g.rows = append(g.rows, []string{
			revisionNumber(r.Number), age(r.Updated) + " ago", r.Status, r.Chart, r.AppVersion, r.Tests, owner, cut(firstLine(r.Message)),
		})
	}
	return g.write(w, false, width)
}
