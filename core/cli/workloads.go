package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/workload"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// workloadFlags narrow what is listed, for all commands that list workloads.
type workloadFlags struct {
	all       bool
	container string
	noHeaders bool
}

func (f *workloadFlags) bind(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&f.all, "all-namespaces", "A", false, "of all namespaces")
	cmd.Flags().StringVar(&f.container, "container", "", "only containers of this name")
	cmd.Flags().BoolVar(&f.noHeaders, "no-headers", false, "leave out the first line")
}

// check refuses flags that contradict each other.
func (f *workloadFlags) check(a *app) error {
	if f.all && a.namespace != "" {
		return withHint(errors.New("--all-namespaces does not go with --namespace"), "leave out one of them")
	}
	return nil
}

// namespace returns the namespace to look in, "" for all.
func (f *workloadFlags) namespace(a *app) string {
	switch {
	case f.all:
		return ""
	case a.namespace != "":
		return a.namespace
	}
	return "default"
}

func newWorkloads(a *app) *cobra.Command {
	var f workloadFlags
	cmd := &cobra.Command{
		Use:     "workloads",
		Aliases: []string{"list-workloads", "list-controllers"},
		Short:   "Show what runs, with its images, rollout and policies",
		Example: `  sluice workloads -n shop
  sluice workloads -A -o json
  sluice workloads -A --container web`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(a); err != nil {
				return err
			}
			client, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			answer, err := client.Workloads(cmd.Context(), workload.Request{Namespace: f.namespace(a)})
			if err != nil {
				return err
			}
			answer.Workloads = f.keep(answer.Workloads)
			a.tellProblems(answer.Problems)
			for _, w := range answer.Workloads {
				for _, text := range w.Warnings {
					a.tellNotes([]string{w.ID + ": " + text})
				}
			}
			if len(answer.Workloads) == 0 && !a.output.machine() {
				f.tellNothing(a)
				return nil
			}
			return a.view(answer.Workloads, func(w io.Writer) error { return writeWorkloads(w, answer.Workloads, f.noHeaders) })
		},
	}
	f.bind(cmd)
	return cmd
}

// keep drops the containers that were not asked for, and what has none left.
func (f *workloadFlags) keep(list []workload.Workload) []workload.Workload {
	if f.container == "" {
		return list
	}
	for i := range list {
		list[i].Containers = slices.DeleteFunc(list[i].Containers, func(c applier.Container) bool { return c.Name != f.container })
	}
	return slices.DeleteFunc(list, func(w workload.Workload) bool { return len(w.Containers) == 0 })
}

// tellNothing says that there is nothing to list, instead of a table.
func (f *workloadFlags) tellNothing(a *app) {
	what, where := "nothing", ""
	if f.container != "" {
		what = fmt.Sprintf("no container %q", f.container)
	}
	if !f.all {
		where = fmt.Sprintf(" in the namespace %s; -A shows all", f.namespace(a))
	}
	fmt.Fprintf(a.Err, "%s runs%s\n", what, where)
}

// tellNotes says what people should mend; programs read it in the answer.
func (a *app) tellNotes(notes []string) {
	if a.output.machine() {
		return
	}
	for _, n := range notes {
		fmt.Fprintln(a.Err, "note:", visible(n))
	}
}

// tellProblems says what is missing in an answer.
func (a *app) tellProblems(problems []string) {
	for _, p := range problems {
		fmt.Fprintln(a.Err, "warning:", visible(p))
	}
}

// writeWorkloads writes a row for each container; those after the first leave
// the other columns blank.
func writeWorkloads(w io.Writer, list []workload.Workload, noHeaders bool) error {
	header := "WORKLOAD\tCONTAINER\tIMAGE\tRELEASE\tPOLICY"
	if noHeaders {
		header = ""
	}
	return table(w, header, func(row func(...any)) {
		for _, l := range list {
			id, release, policies := l.ID, string(l.Rollout.Phase), strings.Join(l.Policies, ",")
			for _, c := range l.Containers {
				row(id, c.Name, c.Image, release, policies)
				id, release, policies = "", "", ""
			}
		}
	})
}
