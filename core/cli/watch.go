package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/sluice-gitops/sluice/core/api"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/updates/jobs"
	"github.com/sluice-gitops/sluice/core/workload"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

// watchInterval is how often a rollout is looked at.
const watchInterval = 2 * time.Second

// watchRollout shows how the workloads that job has changed get on, until each
// is ready or has failed, which is an error.
func (a *app) watchRollout(ctx context.Context, client *api.Client, job jobs.Job, timeout time.Duration) error {
	wanted, images := map[string]bool{}, map[string][]update.Swap{}
	for _, r := range job.Results {
		if r.Status == update.Success {
			wanted[r.ID], images[r.ID] = true, r.Containers
		}
	}
	watching, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	board := a.board()
	for {
		list, err := rolledOut(watching, client, wanted)
		switch {
		case watching.Err() != nil:
			return lateRollout(ctx, timeout)
		case err != nil:
			return err
		}
		if err := board.show(func(w io.Writer) error { return writeRollout(w, list) }); err != nil {
			return err
		}
		if over, err := rolloutEnd(list); over && len(list) == len(wanted) {
			return errors.Join(err, overtaken(list, images))
		}
		select {
		case <-tick.C:
		case <-watching.Done():
			return lateRollout(ctx, timeout)
		}
	}
}

func lateRollout(ctx context.Context, timeout time.Duration) error {
	if ctx.Err() != nil {
		return errors.New("the rollout goes on without you")
	}
	return withHint(fmt.Errorf("not rolled out within %s", timeout), "`sluice workloads` shows how it gets on")
}

// rolledOut are the wanted workloads, as they run.
func rolledOut(ctx context.Context, client *api.Client, wanted map[string]bool) ([]workload.Workload, error) {
	answer, err := client.Workloads(ctx, workload.Request{Namespace: sameNamespace(wanted)})
	if err != nil {
		return nil, err
	}
	var list []workload.Workload
	for _, w := range answer.Workloads {
		if wanted[w.ID] {
			list = append(list, w)
		}
	}
	return list, nil
}

// sameNamespace is the namespace that all of ids are in, "" if there are several.
func sameNamespace(ids map[string]bool) string {
	same := ""
	for id := range ids {
		ns, _, _ := strings.Cut(id, ":")
		if same != "" && ns != same {
			return ""
		}
		same = ns
	}
	return same
}

// rolloutEnd reports whether nothing more will happen, and what has failed.
func rolloutEnd(list []workload.Workload) (over bool, err error) {
	over = true
	var failed []error
	for _, w := range list {
		switch w.Rollout.Phase {
		case applier.RolloutReady:
		case applier.RolloutFailed:
			failed = append(failed, fmt.Errorf("%s: %s", w.ID, w.Rollout.Message))
		default:
			over = false
		}
	}
	if !over {
		return false, nil
	}
	return true, errors.Join(failed...)
}

// overtaken tells which workloads run other images than those that were released:
// somebody else has changed them meanwhile.
func overtaken(list []workload.Workload, released map[string][]update.Swap) error {
	var errs []error
	for _, w := range list {
		for _, swap := range released[w.ID] {
			i := slices.IndexFunc(w.Containers, func(c applier.Container) bool { return c.Name == swap.Container })
			if i >= 0 && !sameImage(w.Containers[i].Image, swap.Target) {
				errs = append(errs, fmt.Errorf("%s: container %s runs %s, which is not what was released: %s", w.ID, swap.Container, w.Containers[i].Image, swap.Target))
			}
		}
	}
	return errors.Join(errs...)
}

// sameImage compares two references, in whatever spelling.
func sameImage(a, b string) bool {
	x, errX := ref.Parse(a)
	y, errY := ref.Parse(b)
	return a == b || errX == nil && errY == nil && x.Canonical() == y.Canonical() && x.Digest == y.Digest
}

func writeRollout(w io.Writer, list []workload.Workload) error {
	return table(w, "WORKLOAD\tCONTAINER\tIMAGE\tRELEASE\tREPLICAS", func(row func(...any)) {
		for _, l := range list {
			r := l.Rollout
			id, release, replicas := l.ID, joined(string(r.Phase), r.Message), replicas(r)
			for _, c := range l.Containers {
				row(id, c.Name, c.Image, release, replicas)
				id, release, replicas = "", "", ""
			}
			if len(l.Containers) == 0 {
				row(id, "", "", release, replicas)
			}
		}
	})
}

// replicas tells how many run what is wanted; "-" for what has none, such as a
// Helm release or a CronJob.
func replicas(r applier.Rollout) string {
	switch {
	case r.Desired+r.Updated+r.Ready+r.Outdated == 0:
		return "-"
	case r.Outdated > 0:
		return fmt.Sprintf("%d/%d (%d outdated)", r.Updated, r.Desired, r.Outdated)
	}
	return fmt.Sprintf("%d/%d", r.Updated, r.Desired)
}

// board shows a text that changes: on a terminal it is drawn anew, elsewhere each
// is appended; one that is as the last is not shown again. Programs get none.
type board struct {
	w        io.Writer
	terminal bool
	quiet    bool
	last     string
}

func (a *app) board() *board {
	f, ok := a.Out.(*os.File)
	return &board{w: a.Out, terminal: ok && term.IsTerminal(int(f.Fd())), quiet: a.output.machine()}
}

func (b *board) show(draw func(w io.Writer) error) error {
	var text bytes.Buffer
	if err := draw(&text); err != nil {
		return err
	}
	if b.quiet || text.String() == b.last {
		return nil
	}
	if lines := strings.Count(b.last, "\n"); b.terminal && lines > 0 {
		_, _ = fmt.Fprintf(b.w, "\x1b[%dA\r\x1b[J", lines)
	}
	b.last = text.String()
	_, err := io.WriteString(b.w, b.last)
	return err
}
