package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

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
		ValidArgsFunction: a.completeNodes(anyNode),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				q.Node = args[0]
			}
			return a.events(cmd.Context(), q)
		},
	}
	cmd.Flags().BoolVarP(&q.Follow, "follow", "f", false, "go on with what happens next")
	cmd.Flags().IntVar(&q.Limit, "limit", 50, "how many past events to show")
	cmd.Flags().Uint64Var(&q.Since, "since", 0, "show events after this sequence number")
	return cmd
}

// events shows events, as many as there are or, with --follow, as they come. JSON
// formats have one a line, so that a stream can be read while it goes on.
func (a *app) events(ctx context.Context, q engine.EventQuery) error {
	client, err := a.client(ctx)
	if err != nil {
		return err
	}
	if a.output.machine() {
		return client.Events(ctx, q, a.encodeEvent)
	}
	t := eventTable{w: a.Out}
	if q.Follow {
		t.widths = [5]int{0, len("warning"), 24, 0, 16}
		return client.Events(ctx, q, func(e event.Event) error {
			t.widen(rowOf(e))
			return t.write(rowOf(e))
		})
	}
	var rows []eventRow
	err = client.Events(ctx, q, func(e event.Event) error {
		rows = append(rows, rowOf(e))
		t.widen(rowOf(e))
		return nil
	})
	for _, r := range rows {
		err = errors.Join(err, t.write(r))
	}
	return err
}

func (a *app) encodeEvent(e event.Event) error {
	if a.output == outputYAML {
		_, _ = fmt.Fprintln(a.Out, "---")
		return writeYAML(a.Out, e)
	}
	return json.NewEncoder(a.Out).Encode(e)
}

// eventRow are the columns of an event: time, severity, node, object, reason and
// message.
type eventRow [6]string

func rowOf(e event.Event) eventRow {
	return eventRow{
		e.Time.Local().Format(time.DateTime), string(e.Severity), visible(e.Node), visible(e.Object), visible(e.Reason), visible(e.Message),
	}
}

func (r eventRow) widths() (w [5]int) {
	for i := range w {
		w[i] = utf8.RuneCountInString(r[i])
	}
	return w
}

// eventTable writes rows one by one, in columns as wide as the widest that it
// knows of. A column without anything in it is left out.
type eventTable struct {
	w      io.Writer
	widths [5]int // the message comes last and may have any
}

func (t *eventTable) widen(r eventRow) {
	for i, n := range r.widths() {
		t.widths[i] = max(t.widths[i], n)
	}
}

func (t *eventTable) write(r eventRow) error {
	var line strings.Builder
	for i, width := range t.widths {
		if width > 0 {
			fmt.Fprintf(&line, "%-*s  ", width, r[i])
		}
	}
	_, err := fmt.Fprintln(t.w, line.String()+r[5])
	return err
}
