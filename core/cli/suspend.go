package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/engine"
)

func newSuspend(a *app) *cobra.Command {
	var reason string
	var period time.Duration
	cmd := &cobra.Command{
		Use:   "suspend NAME...",
		Short: "Stop a source, a sync, a release or an image automation until it is resumed",
		Example: `  sluice suspend shop --reason "database migration" --for 2h
  sluice suspend image_automation.shop --reason "code freeze"
  sluice suspend release.ghost --reason "restoring a backup"
  sluice suspend source.git.platform --reason "moving the repository"`,
		Args:              needs("NAME", 1, -1),
		ValidArgsFunction: a.completeNodes(anyNode),
		RunE: func(cmd *cobra.Command, names []string) error {
			req := engine.SuspendRequest{Names: names, By: whoami(), Reason: reason}
			if cmd.Flags().Changed("for") {
				if period <= 0 {
					return fmt.Errorf("--for %s: want a time in the future, such as 2h", period)
				}
				req.Until = time.Now().Add(period)
			}
			client, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			ids, err := client.Suspend(cmd.Context(), req)
			return a.done(ids, "suspended", err)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for those who find it suspended")
	cmd.Flags().DurationVar(&period, "for", 0, "resume by itself after this time")
	return cmd
}

func newResume(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "resume NAME...",
		Short:             "End a suspension",
		Args:              needs("NAME", 1, -1),
		ValidArgsFunction: a.completeNodes(anyNode),
		RunE: func(cmd *cobra.Command, names []string) error {
			client, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			ids, err := client.Resume(cmd.Context(), engine.ResumeRequest{Names: names, By: whoami()})
			return a.done(ids, "resumed", err)
		},
	}
}

func newApprove(a *app) *cobra.Command {
	var digest string
	cmd := &cobra.Command{
		Use:   "approve NAME",
		Short: "Allow the deletion that a sync waits with",
		Long: `Allow the deletion that a sync waits with.

The approval holds for exactly the objects that were shown: if the list
changes before they are deleted, the sync asks again.`,
		Args:              needs("NAME", 1, 1),
		ValidArgsFunction: a.completeNodes(onlySyncs),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			approved, err := client.Approve(cmd.Context(), engine.ApproveRequest{Name: args[0], Digest: digest, By: whoami()})
			if err != nil {
				return err
			}
			return a.view(map[string]string{"approved": approved}, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "%s: plan %s approved\n", args[0], approved)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&digest, "digest", "", "approve only the plan with this digest (default: what waits now)")
	return cmd
}

// done reports what was done to which nodes.
func (a *app) done(ids []string, what string, err error) error {
	if err != nil {
		return err
	}
	return a.view(map[string][]string{what: ids}, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s: %s\n", what, strings.Join(ids, ", "))
		return err
	})
}
