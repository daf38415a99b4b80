package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/api"
	"github.com/sluice-gitops/sluice/core/engine"
	"github.com/sluice-gitops/sluice/core/release"
)

type syncFlags struct {
	wait    bool
	timeout time.Duration
}

func newSync(a *app) *cobra.Command {
	var f syncFlags
	cmd := &cobra.Command{
		Use:   "sync [NAME...]",
		Short: "Look for new commits and apply them now",
		Long: `Look for new commits and apply them now, for the named syncs and releases or for
all. A release that has failed too often to be tried again is tried again.

With --wait the command shows the progress and ends when every sync has
finished: exit code 0 if all are ready, 2 if one waits for an approval, 1 if
one failed.`,
		Example: `  sluice sync shop --wait
  sluice sync release.ghost -w
  sluice sync`,
		ValidArgsFunction: a.completeNodes(anyNode),
		RunE: func(cmd *cobra.Command, names []string) error {
			return a.sync(cmd.Context(), names, f)
		},
	}
	cmd.Flags().BoolVarP(&f.wait, "wait", "w", false, "wait until the syncs have finished")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 5*time.Minute, "how long to wait")
	return cmd
}

func (a *app) sync(ctx context.Context, names []string, f syncFlags) error {
	client, err := a.client(ctx)
	if err != nil {
		return err
	}
	req := engine.SyncRequest{Names: names, By: whoami()}
	if f.wait {
		return a.syncAndWait(ctx, client, req, f.timeout)
	}
	ids, err := client.Sync(ctx, req)
	if err != nil {
		return err
	}
	return a.view(map[string]any{"triggered": ids}, func(w io.Writer) error {
		for _, id := range ids {
			_, _ = fmt.Fprintf(w, "%s triggered\n", id)
		}
		return nil
	})
}

func (a *app) syncAndWait(ctx context.Context, client *api.Client, req engine.SyncRequest, timeout time.Duration) error {
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	began, progress := time.Now(), a.progress()
	details, err := client.SyncAndWait(waiting, req, progress.show)
	progress.end()
	if errors.Is(err, context.DeadlineExceeded) || err != nil && waiting.Err() != nil && ctx.Err() == nil {
		return withHint(fmt.Errorf("not finished within %s; the daemon goes on", timeout), "`sluice status` shows the state; --timeout waits longer")
	}
	if err != nil {
		return err
	}
	if err := a.view(details, func(w io.Writer) error { return a.writeOutcomes(w, details, began) }); err != nil {
		return err
	}
	return outcomeCode(details)
}

// writeOutcomes prints a line for each sync and release, and below it what has been
// done to a release since began, and what needs attention.
func (a *app) writeOutcomes(w io.Writer, details []engine.Detail, began time.Time) error {
	for _, d := range details {
		n := d.Node
		if problems := nodeProblems(n, d.Release); len(problems) > 0 && n.State != engine.Ready { // the reason is their text on one line
			_, _ = fmt.Fprintf(w, "%s %s:\n", n.ID, n.State)
			a.renderProblems(w, problems)
			continue
		}
		reason := n.Reason
		if explains(d.Report, reason) {
			reason = revision(d.Report.Revision.Ref, d.Report.Revision.ID)
		}
		_, _ = fmt.Fprintf(w, "%s %s: %s", n.ID, n.State, visibleLines(reason))
		if d.Report != nil && d.Report.Counts.Changed() && n.State != engine.Blocked {
			_, _ = fmt.Fprintf(w, " (%s)", d.Report.Counts)
		}
		_, _ = fmt.Fprintln(w)
		if n.Unblock != "" {
			_, _ = fmt.Fprintf(w, "  to go on: %s\n", n.Unblock)
		}
		if n.State == engine.Blocked { // it has only the report of an earlier run
			continue
		}
		if d.Report != nil {
			writeReport(w, d.Report, "  ")
		}
		if d.Release != nil {
			fresh := slices.IndexFunc(d.Release.Steps, func(s release.Step) bool { return !s.At.Before(began) })
			if fresh >= 0 {
				a.planPrinter(w).steps(d.Release.Steps[fresh:], n.Reason, "  ")
			}
			a.planPrinter(w).remains(d.Release, n.Reason, "  ")
		}
	}
	return nil
}

// outcomeCode is ExitError if a sync failed, else ExitChanges if one waits for
// a person.
func outcomeCode(details []engine.Detail) error {
	code := ExitOK
	for _, d := range details {
		switch {
		case d.Node.State == engine.Ready:
		case d.Node.State != engine.Failed && d.Node.Approval != "":
			code = max(code, ExitChanges)
		default:
			return exitCode(ExitError)
		}
	}
	if code == ExitOK {
		return nil
	}
	return exitCode(code)
}
