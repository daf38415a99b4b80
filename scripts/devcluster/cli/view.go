package cli

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/sluice-gitops/sluice/scripts/devcluster/cluster"
)

func (a *app) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(a.Stdout, format, args...)
	return err
}

func (a *app) printJSON(value any) error {
	encoder := json.NewEncoder(a.Stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

func (a *app) printStatus(s *cluster.Status) error {
	if a.output == "json" {
		return a.printJSON(s)
	}
	table := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	row := func(format string, args ...any) { _, _ = fmt.Fprintf(table, format, args...) } // Flush returns the error.
	row("cluster\t%s\nstate\t%s\nage\t%s\nserver\t%s\nnodes\t%d\nkubeconfig\t%s\naudit log\t%s\nprograms\t%s\n",
		s.Name, s.State, age(s.Created), s.Server, s.Nodes, s.Kubeconfig, s.Audit, s.Programs)
	for _, c := range s.Components {
		row("%s\t%s", c.Name, c.State)
		if c.PID != 0 {
			row(" (pid %d)", c.PID)
		}
		if c.Reason != "" {
			row(": %s", c.Reason)
		}
		row("\n")
	}
	return table.Flush()
}

func (a *app) printList(all []*cluster.Status) error {
	if a.output == "json" {
		return a.printJSON(all)
	}
	table := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "NAME\tSTATE\tAGE\tNODES\tSERVER") // Flush returns the error.
	for _, s := range all {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\n", s.Name, s.State, age(s.Created), s.Nodes, s.Server)
	}
	return table.Flush()
}

func age(created time.Time) time.Duration { return time.Since(created).Round(time.Second) }
