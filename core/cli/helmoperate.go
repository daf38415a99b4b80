package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sluice-gitops/sluice/core/api"
	"github.com/sluice-gitops/sluice/core/engine"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/byhand"
)

// operateFlags are what the commands share that change a release by hand.
type operateFlags struct {
	op   byhand.Operation
	user string
	yes  bool
}

func (f *operateFlags) bind(a *app, cmd *cobra.Command) {
	cmd.Args = needs("NAME", 1, 1)
	cmd.ValidArgsFunction = a.completeReleases
	cmd.Flags().StringVar(&f.user, "user", "", `who does it, "Name <mail>" (default: user.name and user.email of git's configuration)`)
	cmd.Flags().DurationVar(&f.op.Timeout, "timeout", 0, "how long each wait and hook may take (default: what the release says)")
}

// bindChange adds what the commands have that suspend the release.
func (f *operateFlags) bindChange(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.op.Reason, "reason", "", "why, for those who find the release suspended")
	cmd.Flags().BoolVar(&f.op.DryRun, "dry-run", false, "only show what would be done")
	cmd.Flags().BoolVar(&f.op.DisableHooks, "no-hooks", false, "do not run hooks")
	cmd.Flags().BoolVar(&f.op.NoWait, "no-wait", false, "do not wait for the objects")
}

// check completes the operation on the release that args name.
func (f *operateFlags) check(ctx context.Context, a *app, name string) error {
	switch {
	case f.op.Timeout < 0:
		return fmt.Errorf("--timeout %s: want some time, such as 2m", f.op.Timeout)
	case strings.ContainsAny(f.user, "\r\n"):
		return fmt.Errorf("--user %q: want one line", f.user)
	}
	f.op.Name = a.releaseName(name)
	f.op.By = cmp.Or(f.user, gitUser(ctx), whoami())
	return nil
}

func newHelmRollback(a *app) *cobra.Command {
	f := operateFlags{op: byhand.Operation{Kind: byhand.Rollback}}
	cmd := &cobra.Command{
		Use:   "rollback NAME [REVISION]",
		Short: "Return to an earlier revision, and stay there until resumed",
		Long: `Make a new revision that equals an earlier one: REVISION, or the deployed one
before the present.

The declaration still says otherwise, so the release is suspended, or the next
run would undo it. ` + "`sluice resume NAME`" + ` makes it as declared again.

--dry-run shows what would change, object by object, and changes nothing. What is
in Secrets, and what values have from them, is not shown.`,
		Example: `  sluice helm rollback demo/ghost --reason "1.3 leaks memory"
  sluice helm rollback demo/ghost 4 --dry-run`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd.Context(), a, args[0]); err != nil {
				return err
			}
			if len(args) > 1 {
				n, err := strconv.Atoi(args[1])
				if err != nil || n < 1 {
					return withHint(fmt.Errorf("revision %q: want the number of one", args[1]), "`sluice helm history %s` shows them", args[0])
				}
				f.op.Revision = n
			}
			return a.operate(cmd.Context(), f.op)
		},
	}
	f.bind(a, cmd)
	f.bindChange(cmd)
	cmd.Args = needs("NAME", 1, 2)
	cmd.ValidArgsFunction = a.completeRollback
	cmd.Flags().BoolVar(&f.op.Force, "force", false, "replace objects rather than change them")
	return cmd
}

// completeRollback offers releases, then the revisions of the one that is named.
func (a *app) completeRollback(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) != 1 {
		return a.completeReleases(cmd, args, prefix)
	}
	return a.completeFrom(cmd, prefix, func(ctx context.Context, client *api.Client) ([]cobra.Completion, error) {
		list, err := client.HelmHistory(ctx, a.releaseName(args[0]))
		var numbers []cobra.Completion
		for _, r := range list {
			numbers = append(numbers, cobra.CompletionWithDesc(strconv.Itoa(r.Number), r.Chart+" "+r.Status))
		}
		return numbers, err
	})
}

func newHelmTest(a *app) *cobra.Command {
	f := operateFlags{op: byhand.Operation{Kind: byhand.Test}}
	cmd := &cobra.Command{
		Use:   "test NAME",
		Short: "Run the tests of a release's chart",
		Long:  `Run the test hooks of a release's chart, and fail if one of them does.`,
		Example: `  sluice helm test demo/ghost
  sluice helm test demo/ghost --only ghost-test-connection --timeout 1m`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd.Context(), a, args[0]); err != nil {
				return err
			}
			return a.operate(cmd.Context(), f.op)
		},
	}
	f.bind(a, cmd)
	cmd.Flags().StringSliceVar(&f.op.Tests, "only", nil, "run only the hook of this name; may be repeated")
	return cmd
}

func newHelmUninstall(a *app) *cobra.Command {
	f := operateFlags{op: byhand.Operation{Kind: byhand.Uninstall}}
	cmd := &cobra.Command{
		Use:     "uninstall NAME",
		Aliases: []string{"un", "del", "delete", "remove", "rm"},
		Short:   "Uninstall a release, until it is resumed",
		Long: `Uninstall a release and delete its history, unless --keep-history is given. On a
terminal it asks first; --yes answers.

The release is still declared, so it is suspended, or the next run would install
it again; ` + "`sluice resume NAME`" + ` does. To be rid of it for good, remove its
declaration instead, which uninstalls it too.`,
		Example: `  sluice helm uninstall demo/ghost --reason "moving house"
  sluice helm rm demo/ghost --yes --keep-history`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd.Context(), a, args[0]); err != nil {
				return err
			}
			if !f.yes && !f.op.DryRun {
				if err := a.confirmUninstall(cmd.Context(), f.op); err != nil {
					return err
				}
			}
			return a.operate(cmd.Context(), f.op)
		},
	}
	f.bind(a, cmd)
	f.bindChange(cmd)
	cmd.Flags().BoolVar(&f.op.KeepHistory, "keep-history", false, "keep the revisions, so that it can be rolled back to one")
	cmd.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	return cmd
}

// confirmUninstall has a person on a terminal say yes.
func (a *app) confirmUninstall(ctx context.Context, op byhand.Operation) error {
	in, ok := a.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return withHint(errors.New("nobody can be asked: standard input is no terminal"), "--yes uninstalls it without, --dry-run shows what would be deleted")
	}
	client, err := a.client(ctx)
	if err != nil {
		return err
	}
	d, err := client.HelmStatus(ctx, op.Name)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(a.Err, "Uninstall %s, %s? [y/N] ", visible(releaseKey(d.HelmRelease)), visible(installed(d.HelmRelease)))
	answers := make(chan string, 1)
	go func() { // it ends with the process: a terminal has no other way to end a read
		answer, _ := bufio.NewReader(in).ReadString('\n') // an end is no yes
		answers <- answer
	}()
	select {
	case answer := <-answers:
		if yes := strings.ToLower(strings.TrimSpace(answer)); yes == "y" || yes == "yes" {
			return nil
		}
	case <-ctx.Done():
		_, _ = fmt.Fprintln(a.Err)
	}
	return errors.New("aborted, nothing has changed")
}

// installed is what a release is, for somebody who is to decide about it.
func installed(r engine.HelmRelease) string {
	if r.Revision == 0 {
		return "of which nothing is known to be installed"
	}
	return fmt.Sprintf("revision %d of %s, %s", r.Revision, cmp.Or(chartText(r.Chart, r.ChartVersion), "an unknown chart"), r.Status)
}

// operate has op done and shows how it gets on. Once it has begun, it goes on
// without a caller that has left.
func (a *app) operate(ctx context.Context, op byhand.Operation) error {
	client, err := a.client(ctx)
	if err != nil {
		return err
	}
	p := a.progress()
	began := false
	o, err := client.HelmOperate(ctx, op, func(step release.Progress) {
		began = true
		if text := progressText(step); text != "" {
			p.line(op.Name+": "+text, op.Name+": "+text)
		}
	})
	p.end()
	switch {
	case ctx.Err() != nil && !began:
		return withHint(fmt.Errorf("aborted: the %s waited for its turn, and is not done any more", op.Kind), "`sluice helm status %s` shows how the release stands", op.Name)
	case ctx.Err() != nil:
		return withHint(fmt.Errorf("the %s goes on without you", op.Kind), "`sluice helm status %s` shows what becomes of it", op.Name)
	case errors.Is(err, api.ErrUnreachable):
		return withHint(err, "once it runs again, `sluice helm status %s` shows what has become of the %s", op.Name, op.Kind)
	case err != nil:
		return err
	}
	return a.view(o, func(w io.Writer) error { return a.writeOutcome(w, o) })
}

// progressText is what is being done, in lower-case words.
func progressText(p release.Progress) string {
	switch {
	case p.Event.Message != "" && p.Event.Object != "":
		return p.Event.Object + ": " + p.Event.Message
	case p.Event.Message != "":
		return p.Event.Message
	}
	return joined(phaseWords(p.Phase), p.Text)
}

// phaseWords splits a phase at its capitals: "rolling back".
func phaseWords(phase release.Phase) string {
	var b strings.Builder
	for i, r := range string(phase) {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// writeOutcome says what was done, and how to go on where the release is stopped
// now.
func (a *app) writeOutcome(w io.Writer, o engine.HelmOutcome) error {
	what := "%s: %s\n"
	if o.DryRun {
		what = "%s: dry run: %s\n"
	}
	_, _ = fmt.Fprintf(w, what, visible(releaseKey(o.HelmRelease)), indentedBy("  ", o.Done))
	a.planPrinter(w).changes(o.Changes, "  ")
	if o.DryRun || o.Suspension == nil {
		return nil
	}
	_, err := fmt.Fprintf(w, "%s is suspended now, and stays so until `sluice resume %s` makes it as declared\n", visible(o.ID), visible(o.ID))
	return err
}
