package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/updates/jobs"
)

func newJobs(a *app) *cobra.Command {
	run := func(cmd *cobra.Command, _ []string) error { return a.jobs(cmd.Context()) }
	cmd := &cobra.Command{
		Use:   "jobs",
		Short: "Show the releases and policy changes that were asked for",
		Long: `Show the releases and policy changes that were asked for, the newest first, and
what came of them. They go on without the command that asked for them, and
after a restart of the daemon.`,
		Example: `  sluice jobs
  sluice jobs show sixl --wait`,
		Args: cobra.NoArgs,
		RunE: run,
	}
	cmd.AddCommand(&cobra.Command{Use: "list", Short: "The same as jobs alone", Args: cobra.NoArgs, RunE: run}, newJobsShow(a))
	return cmd
}

func (a *app) jobs(ctx context.Context) error {
	client, err := a.client(ctx)
	if err != nil {
		return err
	}
	list, err := client.Jobs(ctx)
	if err != nil {
		return err
	}
	if len(list) == 0 && !a.output.machine() {
		_, _ = fmt.Fprintln(a.Err, "nothing was asked for: see `sluice release` and `sluice policy`")
		return nil
	}
	return a.view(list, func(w io.Writer) error { return writeJobs(w, list) })
}

func writeJobs(w io.Writer, list []jobs.Job) error {
	return table(w, "JOB\tWHAT\tSTATE\tASKED\tBY\tCOMMITS\tREASON", func(row func(...any)) {
		for _, j := range list {
			row(j.ID, cut(cmp.Or(j.Asked, j.Kind)), j.State, age(j.Created)+" ago", j.User, commitList(j), cut(firstLine(jobReason(j))))
		}
	})
}

// maxCell is how much of a text of any length a table shows.
const maxCell = 120

// cut shortens what would destroy a table. All of it is in other views.
func cut(text string) string {
	if r := []rune(text); len(r) > maxCell {
		return string(r[:maxCell-1]) + "…"
	}
	return text
}

// jobReason is what a job waits for, why it has come to what it has, or why it
// was asked for.
func jobReason(j jobs.Job) string {
	if j.Error == "" && j.State == jobs.Succeeded && len(j.Commits) == 0 {
		return "nothing to do"
	}
	return cmp.Or(j.Error, j.Waiting, j.Message)
}

func commitList(j jobs.Job) string {
	list := make([]string, 0, len(j.Commits))
	for _, c := range j.Commits {
		list = append(list, shortRevision(c.Revision))
	}
	return strings.Join(list, ", ")
}

func newJobsShow(a *app) *cobra.Command {
	var wait bool
	var f follow
	cmd := &cobra.Command{
		Use:   "show JOB",
		Short: "Show what came of a job, or wait for it",
		Long: `Show what came of a job; the beginning of its id is enough. With --wait, wait until it has ended and what it has
committed is applied, as the command that asked for it does.`,
		Args:              needs("JOB", 1, 1),
		ValidArgsFunction: a.completeJobs,
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			job, err := client.Job(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if wait {
				f.apply = job.Kind == jobs.Release
				_, err = a.follow(cmd.Context(), client, job, f)
				return err
			}
			return a.view(meant(job, f.verbosity), func(w io.Writer) error { return writeJob(w, job, f.verbosity) })
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "until it has ended and is applied")
	cmd.Flags().DurationVar(&f.timeout, "timeout", time.Minute, "how long to wait for each step")
	cmd.Flags().CountVarP(&f.verbosity, "verbose", "v", "also show what is skipped; -vv: and what is ignored")
	return cmd
}

func writeJob(w io.Writer, j jobs.Job, verbosity int) error {
	err := table(w, fmt.Sprintf("%s %s", j.Kind, visible(j.ID)), func(row func(...any)) {
		field := func(name, value string) {
			if value != "" {
				row("  "+name, value)
			}
		}
		field("asked for", j.Asked)
		field("state", j.State)
		field("waits for", j.Waiting)
		field("reason", j.Error)
		field("asked", age(j.Created)+" ago")
		if !j.Finished.IsZero() {
			field("took", j.Finished.Sub(j.Created).Round(time.Millisecond).String())
		}
		field("by", j.User)
		field("message", firstLine(j.Message))
		for _, c := range j.Commits {
			field("commit", commitState(c))
		}
	})
	if err != nil || len(resultRows(j, verbosity)) == 0 {
		return err
	}
	_, _ = fmt.Fprintln(w)
	return writeResults(w, j, verbosity)
}

// commitState says where a commit is, and whether it is applied.
func commitState(c jobs.Commit) string {
	text := shortRevision(c.Revision) + " in " + c.Source
	switch {
	case c.Branch != "":
		return text + ", on the branch " + c.Branch
	case c.Applied:
		return text + ", applied"
	case len(c.Syncs) > 0:
		return text + ", not applied yet by " + strings.Join(c.Syncs, ", ")
	}
	return text
}
