package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/engine"
	"github.com/sluice-gitops/sluice/core/release"
)

type helmListFlags struct {
	request       engine.HelmListRequest
	allNamespaces bool
	noHeaders     bool
	check         bool
}

func newHelmList(a *app) *cobra.Command {
	var f helmListFlags
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the releases, and how they stand to their declarations",
		Long: `List the declared releases of all namespaces, or of that of -n, and how they stand
to their declarations. Below the table is why those are not in sync that are not.
One that somebody else has changed since the daemon looked at it is unknown, until
the next look; ` + "`sluice sync NAME`" + ` looks now.

--all lists those too that nobody declares: such as the helm command installed.
-o name prints namespace/name, a line each.`,
		Example: `  sluice helm list
  sluice helm ls -n demo --all
  sluice helm list --check && echo all in sync`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.allNamespaces && a.namespace != "" {
				return withHint(errors.New("--all-namespaces does not go with --namespace"), "leave out one of them")
			}
			f.request.Namespace = a.namespace
			return a.helmList(cmd.Context(), f)
		},
	}
	printsNames(cmd)
	cmd.Flags().BoolVarP(&f.request.All, "all", "a", false, "also those that nobody declares")
	cmd.Flags().BoolVarP(&f.allNamespaces, "all-namespaces", "A", false, "of all namespaces, as without -n")
	cmd.Flags().StringVar(&f.request.Applier, "applier", "", "only in the cluster of this applier, by its address")
	cmd.Flags().BoolVar(&f.noHeaders, "no-headers", false, "leave out the first line")
	cmd.Flags().BoolVar(&f.check, "check", false, "exit with 2 unless all declared releases are in sync")
	return cmd
}

func (a *app) helmList(ctx context.Context, f helmListFlags) error {
	client, err := a.client(ctx)
	if err != nil {
		return err
	}
	answer, err := client.HelmReleases(ctx, f.request)
	if err != nil {
		return err
	}
	a.tellProblems(answer.Problems)
	if len(answer.Releases) == 0 && !a.output.machine() {
		f.tellNone(a)
	} else if err := a.viewReleases(answer.Releases, f); err != nil {
		return err
	}
	if f.check && !inSync(answer) {
		return exitCode(ExitChanges)
	}
	return nil
}

func (a *app) viewReleases(list []engine.HelmRelease, f helmListFlags) error {
	if a.output == outputName {
		for _, r := range list {
			if _, err := fmt.Fprintln(a.Out, visible(releaseKey(r))); err != nil {
				return err
			}
		}
		return nil
	}
	return a.view(list, func(w io.Writer) error {
		return errors.Join(writeReleases(w, list, f.noHeaders, a.width(w)), writeReleaseReasons(w, list))
	})
}

// tellNone says that there is nothing to list, instead of a table.
func (f helmListFlags) tellNone(a *app) {
	where, more := "", ""
	if f.request.Namespace != "" {
		where = " in the namespace " + f.request.Namespace
	}
	if !f.request.All {
		more = "; --all lists those that nobody declares"
	}
	_, _ = fmt.Fprintf(a.Err, "there are no releases%s%s\n", visible(where), more)
}

// inSync reports whether all declared releases are, and nothing is unknown.
func inSync(answer engine.HelmListAnswer) bool {
	for _, r := range answer.Releases {
		if r.ID != "" && !fine(r) {
			return false
		}
	}
	return len(answer.Problems) == 0
}

func fine(r engine.HelmRelease) bool { return r.State == engine.Ready && r.Release == release.InSync }

// writeReleases leaves out columns where width, unless it is 0, has no room for
// all.
func writeReleases(w io.Writer, list []engine.HelmRelease, noHeaders bool, width int) error {
	g := grid{
		header:     []string{"NAMESPACE", "NAME", "REVISION", "STATUS", "CHART", "APP-VERSION", "STATE", "DECLARED-BY"},
		expendable: []string{"APP-VERSION", "STATUS", "DECLARED-BY", "REVISION"},
	}
	several := slices.ContainsFunc(list, func(r engine.HelmRelease) bool { return r.Applier != list[0].Applier })
	if several {
		g.header = append(g.header, "APPLIER")
	}
	for _, r := range list {
		cells := []string{
			r.Namespace, r.Name, revisionNumber(r.Revision), r.Status, chartText(r.Chart, r.ChartVersion), r.AppVersion,
			cmp.Or(releaseState(r), "-"), declaredBy(r),
		}
		if several {
			cells = append(cells, r.Applier)
		}
		g.rows = append(g.rows, cells)
	}
	return g.write(w, noHeaders, width)
}

// revisionNumber is empty before there is a revision.
func revisionNumber(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// declaredBy is where a release is declared. The owner of one that nobody
// declares any more did so.
func declaredBy(r engine.HelmRelease) string {
	switch {
	case r.ID != "":
		return cmp.Or(r.Declared, r.ID)
	case r.Owner != "":
		return "nobody any more"
	}
	return "nobody"
}

// writeReleaseReasons tells why releases are not in sync.
func writeReleaseReasons(w io.Writer, list []engine.HelmRelease) error {
	first := true
	for _, r := range list {
		if r.ID == "" || fine(r) || r.Reason == "" {
			continue
		}
		if first {
			_, _ = fmt.Fprintln(w)
			first = false
		}
		state := " " + releaseState(r) + ":"
		if r.State == engine.Suspended { // the reason says so
			state = ""
		}
		if _, err := fmt.Fprintln(w, indentedBy("  ", releaseKey(r)+state+" "+r.Reason)); err != nil {
			return err
		}
		if r.Unblock != "" {
			_, _ = fmt.Fprintf(w, "  to go on: %s\n", visible(r.Unblock))
		}
	}
	return nil
}
