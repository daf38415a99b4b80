package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/sluice-gitops/sluice/core/api"
	"github.com/sluice-gitops/sluice/core/cli/menu"
	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/updates/jobs"
)

// chooseRelease plans req, has the person choose among what it would change,
// and returns exactly that as a spec: if it has changed in git meanwhile, the
// release fails. A spec without containers is nothing to do; the plan tells what
// there was.
func (a *app) chooseRelease(ctx context.Context, client *api.Client, req jobs.ReleaseRequest, verbosity int) (spec update.Spec, planned jobs.Job, err error) {
	in, out, err := a.terminal()
	if err != nil {
		return spec, planned, err
	}
	plan := req
	plan.DryRun = true
	a.tellSubmitting("release", true)
	planned, err = a.askRelease(ctx, client, plan)
	if err == nil && planned.State == jobs.Failed {
		err = jobFailure(planned)
	}
	if err != nil {
		return spec, planned, err
	}
	rows := resultRows(planned, verbosity)
	o, err := menuOf(rows)
	if err != nil || !offers(o.Rows) {
		return spec, planned, err
	}
	o.In, o.Out, o.Help = in, out, "releases"
	if req.DryRun {
		o.Help = "plans"
	}
	chosen, err := menu.Choose(ctx, o)
	if errors.Is(err, menu.ErrAborted) || ctx.Err() != nil {
		return spec, planned, errors.New("aborted, nothing has changed")
	}
	return exactSpec(rows, chosen, req.Spec.Force), planned, err
}

// terminal is what the person types on, and what they look at.
func (a *app) terminal() (in, out *os.File, err error) {
	in, ok := a.In.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return nil, nil, withHint(errors.New("--interactive needs a terminal, and standard input is none"), "--dry-run shows what would be released")
	}
	for _, w := range []io.Writer{a.Err, a.Out} {
		if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			return in, f, nil
		}
	}
	return in, in, nil // output goes elsewhere: draw where the keys come from
}

// menuOf makes a menu of the lines of a plan. What would change can be chosen,
// and is.
func menuOf(rows []resultRow) (menu.Options, error) {
	var text bytes.Buffer
	err := table(&text, resultsHeader, func(row func(...any)) {
		for _, r := range rows {
			row(r.result.ID, r.result.Status, r.text)
		}
	})
	if err != nil {
		return menu.Options{}, err
	}
	lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	o := menu.Options{Header: lines[0]}
	for i, r := range rows {
		choice := r.swap != nil && r.result.Status == update.Success
		o.Rows = append(o.Rows, menu.Row{Text: lines[i+1], Choice: choice, Chosen: choice})
	}
	return o, nil
}

func offers(rows []menu.Row) bool {
	for _, r := range rows {
		if r.Choice {
			return true
		}
	}
	return false
}

// exactSpec asks for the chosen rows, as they were shown.
func exactSpec(rows []resultRow, chosen []int, force bool) update.Spec {
	spec := update.Spec{Force: force}
	for _, i := range chosen {
		if spec.Containers == nil {
			spec.Containers = map[string][]update.Swap{}
		}
		id := rows[i].result.ID
		spec.Containers[id] = append(spec.Containers[id], *rows[i].swap)
	}
	return spec
}
