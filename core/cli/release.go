package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/api"
	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/updates/jobs"
)

// releaseFlags are the flags of release; most are fluxctl's.
type releaseFlags struct {
	changeFlags
	all         bool
	image       string
	allImages   bool
	exclude     []string
	interactive bool
	force       bool
	watch       bool
	rollout     time.Duration // for --watch
}

func newRelease(a *app) *cobra.Command {
	var f releaseFlags
	cmd := &cobra.Command{
		Use:   "release [WORKLOAD...]",
		Short: "Write other images into git, and wait until they are applied",
		Long: `Write other images into git: one that is named, with --update-image, or the
newest that the policy of each container takes, with --update-all-images. What
changes is a commit, whose revision is shown when it is pushed and when it is
applied; only the image itself differs in it.

What is locked or ignored is left out. --force releases it all the same if it is
named, and lets --update-image go past the policies of containers.
A WORKLOAD is namespace:kind/name, or kind/name in the namespace of -n; --all
with -n are those of the namespace.

Registries are asked for what is not known of the images, or not newer than the
interval of images { }, no longer than --timeout. Changes that are not ready
within --timeout go on: ` + "`sluice jobs`" + ` shows them.

Exit code 1 if nothing, or not all, could be done for what is named: there is no
such workload, its images cannot be told, a commit cannot be pushed. With --watch
also if a rollout fails, or has not ended in time. What is locked, ignored or up
to date already is no error.`,
		Example: `  sluice release shop:deployment/web --update-image quay.io/acme/web:1.4.2
  sluice release --all --update-all-images --dry-run -v
  sluice release -n shop deployment/web --update-all-images --interactive
  sluice release --workload shop:deployment/web -i acme/web:1.4.2 -m "for the fair" --watch`,
		ValidArgsFunction: a.completeWorkloads,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.workloads = append(f.workloads, args...)
			if err := f.check(); err != nil {
				return err
			}
			f.warn(a)
			if cmd.Flags().Changed("timeout") {
				f.rollout = f.timeout
			}
			return a.release(cmd.Context(), f)
		},
	}
	f.bindRelease(a, cmd)
	return cmd
}

func (f *releaseFlags) bindRelease(a *app, cmd *cobra.Command) {
	f.bind(a, cmd, "")
	f.rollout = 10 * time.Minute // a rollout takes longer than a commit
	cmd.Flags().BoolVar(&f.all, "all", false, "all workloads, of the namespace of -n if there is one")
	cmd.Flags().StringVarP(&f.image, "update-image", "i", "", "use this image, name:tag, wherever one of its name is used")
	cmd.Flags().BoolVar(&f.allImages, "update-all-images", false, "use the newest image that the policy of each container takes")
	cmd.Flags().StringSliceVar(&f.exclude, "exclude", nil, "leave out a workload; may be repeated")
	f.bindDryRun(cmd)
	cmd.Flags().BoolVar(&f.interactive, "interactive", false, "choose what to release from what would change")
	cmd.Flags().BoolVarP(&f.force, "force", "f", false, "also what is locked or ignored, and with --update-image what policies refuse")
	cmd.Flags().BoolVarP(&f.watch, "watch", "w", false, "then show how the rollout gets on until it has ended, for 10m or as long as --timeout says")
	_ = cmd.RegisterFlagCompletionFunc("exclude", a.completeWorkloads)
	_ = cmd.RegisterFlagCompletionFunc("update-image", cobra.NoFileCompletions)
}

// check refuses flags that say too little, or contradict each other.
func (f *releaseFlags) check() error {
	switch {
	case f.image == "" && !f.allImages:
		return withHint(errors.New("which images? Neither --update-image nor --update-all-images is there"), "give one of them")
	case f.image != "" && f.allImages:
		return withHint(errors.New("--update-image does not go with --update-all-images"), "leave out one of them")
	case !f.all && len(f.workloads) == 0:
		return withHint(errors.New("which workloads? None is named"), "name them, or give --all")
	case f.all && len(f.workloads) > 0:
		return withHint(errors.New("--all does not go with named workloads"), "leave out one of them")
	case f.watch && f.dryRun:
		return withHint(errors.New("--watch does not go with --dry-run, which changes nothing"), "leave out one of them")
	case f.force && f.all && f.allImages:
		return withHint(errors.New("--force does nothing with --all and --update-all-images: locks and policies hold for these"), "name the workloads, or the image")
	}
	return f.changeFlags.check()
}

// warn tells what --force does not do.
func (f *releaseFlags) warn(a *app) {
	switch {
	case f.force && f.all:
		a.tellProblems([]string{"--force with --all: what is locked or ignored stays as it is; name it to release it"})
	case f.force && f.allImages:
		a.tellProblems([]string{"--force with --update-all-images: the policies of containers still hold"})
	}
}

func (a *app) release(ctx context.Context, f releaseFlags) error {
	client, err := a.client(ctx)
	if err != nil {
		return err
	}
	req := jobs.ReleaseRequest{
		Spec: update.Spec{
			Workloads: f.workloads, All: f.all, Exclude: f.exclude,
			Image: f.image, AllImages: f.allImages, Force: f.force,
		},
		Namespace: a.namespace,
		DryRun:    f.dryRun,
		Message:   f.message,
		User:      f.by(ctx),
		Timeout:   f.timeout,
	}
	if f.interactive {
		spec, planned, err := a.chooseRelease(ctx, client, req, f.verbosity)
		if err != nil {
			return err
		}
		if spec.Containers == nil {
			a.tellHidden(planned, f.verbosity)
			return a.view(planned, writeNothing)
		}
		req.Spec = spec
	}
	return a.submitRelease(ctx, client, req, f)
}

func (a *app) submitRelease(ctx context.Context, client *api.Client, req jobs.ReleaseRequest, f releaseFlags) error {
	a.tellSubmitting("release", req.DryRun)
	job, err := a.askRelease(ctx, client, req)
	if err != nil {
		return err
	}
	done, err := a.follow(ctx, client, job, follow{verbosity: f.verbosity, timeout: f.timeout, apply: true})
	if err != nil || !f.watch || !done.applied {
		return err
	}
	return a.watchRollout(ctx, client, done.job, f.rollout)
}

// askRelease says meanwhile which registries are read: a dry run answers only
// when it knows all.
func (a *app) askRelease(ctx context.Context, client *api.Client, req jobs.ReleaseRequest) (jobs.Job, error) {
	p := a.progress()
	stop := a.tellScans(ctx, client, p)
	defer p.end()
	defer stop()
	return client.Release(ctx, req)
}

// tellSubmitting says on standard error that the daemon is asked.
func (a *app) tellSubmitting(what string, dryRun bool) {
	if dryRun {
		what = "dry-run " + what
	}
	if !a.output.machine() {
		_, _ = fmt.Fprintf(a.Err, "Submitting %s ...\n", what)
	}
}

func writeNothing(w io.Writer) error {
	_, err := fmt.Fprintln(w, "Nothing to do")
	return err
}
