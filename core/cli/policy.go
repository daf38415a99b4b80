package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/updates/jobs"
)

func newAutomate(a *app) *cobra.Command {
	return newPolicyChange(a, "automate", "Have new images of a workload written into git by themselves",
		func(c *update.PolicyChange, _ *changeFlags) { c.Automate = true })
}

func newDeautomate(a *app) *cobra.Command {
	return newPolicyChange(a, "deautomate", "Leave the images of a workload to people",
		func(c *update.PolicyChange, _ *changeFlags) { c.Deautomate = true })
}

func newLock(a *app) *cobra.Command {
	cmd := newPolicyChange(a, "lock", "Keep the images of a workload as they are, whoever releases", setLock)
	cmd.Flags().Lookup("message").Usage = "why, for those who find it locked, and message of the commit"
	return cmd
}

func newUnlock(a *app) *cobra.Command {
	return newPolicyChange(a, "unlock", "Let the images of a workload be released again",
		func(c *update.PolicyChange, _ *changeFlags) { c.Unlock = true })
}

// bindDryRun is for the commands that change policies.
func (f *changeFlags) bindDryRun(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "show what would change, and change nothing")
}

// setLock locks, and leaves word of who and why.
func setLock(c *update.PolicyChange, f *changeFlags) {
	c.Lock, c.LockUser, c.LockMessage = true, f.user, f.message
}

// newPolicyChange is a command that changes one policy.
func newPolicyChange(a *app, name, short string, set func(*update.PolicyChange, *changeFlags)) *cobra.Command {
	var f changeFlags
	cmd := &cobra.Command{
		Use:   name + " WORKLOAD...",
		Short: short,
		Long: short + `.

It is an annotation of the manifest, changed by a commit, whose revision is
shown when it is pushed. A WORKLOAD is namespace:kind/name, or kind/name in the
namespace of -n. Exit code 1 if one of them is not there, or cannot be changed.`,
		Example: fmt.Sprintf("  sluice %s shop:deployment/web\n  sluice %s -n shop -w deployment/web -m \"stock-taking\"", name, name),

		ValidArgsFunction: a.completeWorkloads,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.workloads = append(f.workloads, args...)
			f.user = f.by(cmd.Context())
			var change update.PolicyChange
			set(&change, &f)
			return a.changePolicy(cmd.Context(), name, change, f)
		},
	}
	f.bind(a, cmd, "w")
	f.bindDryRun(cmd)
	return cmd
}

// policyFlags are the flags of policy.
type policyFlags struct {
	changeFlags
	change update.PolicyChange
	tags   []string
}

func newPolicy(a *app) *cobra.Command {
	var f policyFlags
	cmd := &cobra.Command{
		Use:   "policy WORKLOAD...",
		Short: "Change several policies of a workload in one commit",
		Long: `Change several policies of a workload in one commit: whether new images are
written by themselves, whether it is locked, and which tags its containers take.

A pattern is glob:main-*, semver:^1.2, regexp:^v(.*)$, numeric: or calver:; a
bare one is a glob. The pattern * takes everything and removes the annotation.
Exit code 1 if a WORKLOAD is not there, or cannot be changed.`,
		Example: `  sluice policy shop:deployment/web --automate --tag-all 'semver:~1.4'
  sluice policy -n shop -w deployment/web --tag web='glob:main-*' --tag migrate='*'
  sluice policy shop:deployment/web --lock -m "stock-taking"`,
		ValidArgsFunction: a.completeWorkloads,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.workloads = append(f.workloads, args...)
			f.user = f.by(cmd.Context())
			change, err := f.policyChange()
			if err != nil {
				return err
			}
			return a.changePolicy(cmd.Context(), "policy change", change, f.changeFlags)
		},
	}
	f.bind(a, cmd, "w")
	f.bindDryRun(cmd)
	cmd.Flags().BoolVar(&f.change.Automate, "automate", false, "write new images by themselves")
	cmd.Flags().BoolVar(&f.change.Deautomate, "deautomate", false, "do so no longer")
	cmd.Flags().BoolVar(&f.change.Lock, "lock", false, "keep the images as they are; --message says why")
	cmd.Flags().BoolVar(&f.change.Unlock, "unlock", false, "let them be released again")
	cmd.Flags().StringVar(&f.change.TagAll, "tag-all", "", "pattern of the tags that all containers take")
	cmd.Flags().StringArrayVar(&f.tags, "tag", nil, "pattern of one, container=pattern; may be repeated")
	_ = cmd.RegisterFlagCompletionFunc("tag", a.completeTags)
	return cmd
}

// policyChange is what the flags say, which may contradict each other.
func (f *policyFlags) policyChange() (update.PolicyChange, error) {
	c := f.change
	switch {
	case c.Automate && c.Deautomate:
		return c, withHint(errors.New("--automate does not go with --deautomate"), "leave out one of them")
	case c.Lock && c.Unlock:
		return c, withHint(errors.New("--lock does not go with --unlock"), "leave out one of them")
	}
	tags, err := tagPatterns(f.tags)
	if err != nil {
		return c, err
	}
	c.Tags = tags
	if !c.Automate && !c.Deautomate && !c.Lock && !c.Unlock && c.TagAll == "" && len(tags) == 0 {
		return c, withHint(errors.New("nothing is to be changed"), "give one of --automate, --deautomate, --lock, --unlock, --tag-all and --tag")
	}
	if c.Lock {
		setLock(&c, &f.changeFlags)
	}
	return c, nil
}

// tagPatterns splits container=pattern at the first =: a pattern may have some
// of its own.
func tagPatterns(values []string) (map[string]string, error) {
	var tags map[string]string
	for _, v := range values {
		container, pattern, ok := strings.Cut(v, "=")
		if !ok || container == "" || pattern == "" {
			return nil, withHint(fmt.Errorf("--tag %q: want container=pattern", v), "such as --tag web='semver:~1.4'; the pattern * removes it")
		}
		if _, twice := tags[container]; twice {
			return nil, fmt.Errorf("--tag %q: there is a pattern for %s already", v, container)
		}
		if tags == nil {
			tags = map[string]string{}
		}
		tags[container] = pattern
	}
	return tags, nil
}

func (a *app) changePolicy(ctx context.Context, what string, change update.PolicyChange, f changeFlags) error {
	if len(f.workloads) == 0 {
		return withHint(errors.New("which workloads? None is named"), "name them: namespace:kind/name, or kind/name with -n")
	}
	if err := f.check(); err != nil {
		return err
	}
	client, err := a.client(ctx)
	if err != nil {
		return err
	}
	a.tellSubmitting(what, f.dryRun)
	job, err := client.Policy(ctx, jobs.PolicyRequest{
		Workloads: f.workloads, Namespace: a.namespace, Change: change, DryRun: f.dryRun, Message: f.message, User: f.user,
	})
	if err != nil {
		return err
	}
	_, err = a.follow(ctx, client, job, follow{verbosity: f.verbosity, timeout: f.timeout})
	return err
}
