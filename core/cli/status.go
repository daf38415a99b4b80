package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/api"
	"github.com/sluice-gitops/sluice/core/engine"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/updates"
)

func newStatus(a *app) *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "status [NAME...]",
		Short: "Show the state of everything, or what came of one sync or release",
		Example: `  sluice status
  sluice status shop
  sluice status -o json`,
		ValidArgsFunction: a.completeNodes(anyNode),
		RunE: func(cmd *cobra.Command, names []string) error {
			return a.status(cmd.Context(), names, check)
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "exit with 2 unless everything is ready")
	return cmd
}

func (a *app) status(ctx context.Context, names []string, check bool) error {
	client, err := a.client(ctx)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		return a.statusOf(ctx, client, names, check)
	}
	s, err := client.Status(ctx)
	if err != nil {
		return err
	}
	if err := a.view(s, func(w io.Writer) error {
		a.writeConfigStatus(w, s.Config)
		if err := errors.Join(writeStatus(w, s), writePending(w, s.Pending)); err != nil {
			return err
		}
		barred, err := client.Quarantined(ctx)
		if len(barred) > 0 {
			_, _ = fmt.Fprintf(w, "\nIN QUARANTINE: %s, see `sluice images quarantine`\n", plural(len(barred), "image"))
		}
		return err
	}); err != nil {
		return err
	}
	return checked(check, func(yield func(engine.Node)) {
		for _, n := range s.Nodes {
			yield(n)
		}
	})
}

// statusOf shows some nodes, with what came of their last runs.
func (a *app) statusOf(ctx context.Context, client *api.Client, names []string, check bool) error {
	details := make([]engine.Detail, 0, len(names))
	for _, n := range names {
		d, err := client.Node(ctx, n)
		if err != nil {
			return err
		}
		details = append(details, d)
	}
	all, err := client.Status(ctx)
	if err != nil {
		return err
	}
	if err := a.view(details, func(w io.Writer) error {
		if err := a.writeDetails(w, details); err != nil {
			return err
		}
		return writePending(w, pendingOf(details, all.Pending))
	}); err != nil {
		return err
	}
	return checked(check, func(yield func(engine.Node)) {
		for _, d := range details {
			yield(d.Node)
		}
	})
}

// writeConfigStatus tells when the configuration on disk is not what runs.
func (a *app) writeConfigStatus(w io.Writer, c *engine.ConfigStatus) {
	switch {
	case c == nil:
		return
	case c.OK: // what a warning asks for, such as a restart, it says itself
		_, _ = fmt.Fprintf(w, "The configuration of %s ago is in use, with %s:\n", age(c.Loaded), plural(len(c.Problems), "warning"))
	default:
		_, _ = fmt.Fprintf(w, "The configuration was refused %s ago; the last good one runs on:\n", age(c.Tried))
	}
	a.renderProblems(w, c.Problems)
	_, _ = fmt.Fprintln(w)
}

// checked turns states into the exit code of --check.
func checked(check bool, nodes func(yield func(engine.Node))) error {
	bad := false
	nodes(func(n engine.Node) { bad = bad || n.State != engine.Ready })
	if check && bad {
		return exitCode(ExitChanges)
	}
	return nil
}

func writeStatus(w io.Writer, s engine.Status) error {
	return table(w, "NODE\tSTATE\tFOR\tREVISION\tOBJECTS\tFAILED\tREASON", func(row func(...any)) {
		for _, n := range s.Nodes {
			objects, failed := "", ""
			if strings.HasPrefix(n.ID, "sync.") {
				objects, failed = fmt.Sprint(n.Objects), fmt.Sprint(n.Failed)
			}
			row(n.ID, n.State, age(n.Since), revision(n.Ref, n.Revision), objects, failed, cut(firstLine(n.Reason)))
		}
	})
}

// pendingOf are the commits to sources that are among nodes, or that these
// depend on.
func pendingOf(nodes []engine.Detail, list []updates.PendingCommit) []updates.PendingCommit {
	var found []updates.PendingCommit
	for _, p := range list {
		concerns := func(d engine.Detail) bool {
			return d.Node.ID == p.Source || slices.Contains(d.Node.DependsOn, p.Source)
		}
		if slices.ContainsFunc(nodes, concerns) {
			found = append(found, p)
		}
	}
	return found
}

// writePending tells what git is to have and does not have yet.
func writePending(w io.Writer, list []updates.PendingCommit) error {
	if len(list) == 0 {
		return nil
	}
	_, _ = fmt.Fprintln(w)
	return table(w, "NOT PUSHED YET\tCHANGES\tFOR\tNEXT TRY\tREASON", func(row func(...any)) {
		for _, p := range list {
			where := p.Source
			if p.Branch != "" {
				where += ", branch " + p.Branch
			}
			next := "now"
			if p.Error != "" {
				next = when(p.NextAttempt)
			}
			row(where, p.Changes, age(p.Since), next, cut(firstLine(p.Error)))
		}
	})
}

func (a *app) writeDetails(w io.Writer, details []engine.Detail) error {
	for i, d := range details {
		if i > 0 {
			_, _ = fmt.Fprintln(w)
		}
		if err := a.writeDetail(w, d); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) writeDetail(w io.Writer, d engine.Detail) error {
	n := d.Node
	err := table(w, visible(n.ID), func(row func(...any)) {
		field := func(name, value string) {
			if value != "" {
				row("  "+name, value)
			}
		}
		field("state", fmt.Sprintf("%s for %s", n.State, age(n.Since)))
		if !explains(d.Report, n.Reason) {
			field("reason", n.Reason)
		}
		field("to go on", n.Unblock)
		if d.Release == nil {
			field("revision", strings.TrimSpace(revision(n.Ref, n.Revision)+" "+n.Message))
		}
		if !n.NextAttempt.IsZero() {
			field("next", "in "+until(n.NextAttempt))
		}
		if d.Release != nil {
			releaseRows(n, d.Release, field)
		}
		field("depends on", strings.Join(n.DependsOn, ", "))
		field("declared", n.Declared)
		if d.Report != nil {
			field("last run", d.Report.Counts.String())
			field("held", d.Report.Held)
		}
	})
	a.renderProblems(w, nodeProblems(n, d.Release))
	if d.Report != nil {
		writeReport(w, d.Report, "  ")
	}
	if d.Release != nil {
		a.planPrinter(w).report(d.Release, n.Reason, "  ")
	}
	return err
}

// releaseRows tell how a release stands. While nothing looks at it, it may stand
// otherwise by now.
func releaseRows(n engine.Node, r *release.Report, field func(name, value string)) {
	state := words(string(r.State))
	if n.State == engine.Suspended && state != "" {
		state += " when it was suspended; `sluice helm status " + n.ID + "` looks"
	}
	field("release", state)
	field("chart", chartText(r.Chart.Name, r.Chart.Version))
	field("app version", r.Chart.AppVersion)
	if r.Revision.Number > 0 {
		field("revision", fmt.Sprintf("%d, %s %s ago", r.Revision.Number, r.Revision.Status, age(r.Revision.Updated)))
	}
}

// revision shortens a hash as git does, after the name people know it by.
func revision(ref, id string) string {
	const short = 10
	if len(id) > short && strings.Trim(id, "0123456789abcdef") == "" {
		id = id[:short]
	}
	if ref != "" && id != "" {
		return ref + "@" + id
	}
	return cmp.Or(id, ref)
}

// age says how long ago t was, in the unit that matters.
func age(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return span(time.Since(t))
}

func until(t time.Time) string { return span(time.Until(t)) }

func span(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
