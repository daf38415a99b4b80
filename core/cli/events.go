package cli

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/engine"
	"github.com/sluice-gitops/sluice/core/event"
)

func newEvents(a *app) *cobra.Command {
	var q engine.EventQuery
	cmd := &cobra.Command{
		Use:   "events [NODE]",
		Short: "Show what happened, newest last",
		Example: `  sluice events
  sluice events -f
  sluice events sync.shop -o json`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeNodes(true),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			if len(args) == 1 {
				q.Node = args[0]
			}
			return client.Events(cmd.Context(), q, a.writeEvent)
		},
	}
	cmd.Flags().BoolVarP(&q.Follow, "follow", "f", false, "go on with what happens next")
	cmd.Flags().IntVar(&q.Limit, "limit", 50, "how many past events to show")
	cmd.Flags().Uint64Var(&q.Since, "since", 0, "show events after this sequence number")
	return cmd
}

// writeEvent prints one event: JSON formats one a line, so that a stream can
// be read while it goes on.
func (a *app) writeEvent(e event.Event) error {
	if a.output == outputYAML {
		_, _ = fmt.Fprintln(a.Out, "---")
		return writeYAML(a.Out, e)
	}
	if a.output.machine() {
		return json.NewEncoder(a.Out).Encode(e)
	}
	about := e.Node
	if e.Object != "" {
		about += " " + e.Object
	}
	_, err := fmt.Fprintf(a.Out, "%s  %-7s  %-24s  %-16s  %s\n", e.Time.Local().Format(time.DateTime), e.Severity, visible(about), visible(e.Reason), visible(e.Message))
	return err
}
