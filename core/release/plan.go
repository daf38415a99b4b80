package release

import (
	"context"
	"fmt"
	"strings"

	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Plan tells what Run would do, without doing it. The error says that it cannot
// be told; why an upgrade would fail is in Plan.Err.
func (r *Runner) Plan(ctx context.Context, s Spec, h Host, rec Record) (Plan, error) {
	h.Asked = true
	n := r.begin(&s, &h, rec, nil)
	defer n.end()
	if err := n.prepare(ctx); err != nil {
		return Plan{}, n.told(n.values.located(err))
	}
	if err := n.foresee(ctx); err != nil {
		return Plan{}, n.told(err)
	}
	d := n.decision
	p := Plan{State: d.State, Action: d.Action, Reason: d.Reason, Drift: n.drift}
	if d.Action.makes() || d.Action == ActUnlock || d.Action == ActMove || d.State == Failed || d.State == RolledBack {
		p.Err = n.told(n.values.located(n.changes(ctx, &p)))
	}
	if cause := context.Cause(ctx); cause != nil {
		return Plan{}, cause
	}
	if p.Err != nil {
		p.Error, p.Problems = p.Err.Error(), problemsOf(p.Err)
	}
	p.Chart, p.Warnings = n.chart.info, n.warnings
	return p, nil
}

// foresee looks and decides, once more after the live objects were compared.
func (n *run) foresee(ctx context.Context) error {
	for range 2 {
		if err := n.look(ctx); err != nil {
			return err
		}
		n.hideInstalled(ctx)
		n.decision = Decide(*n.s, n.wanted, n.seen, n.rec, n.r.now())
		if n.decision.Action != ActCompare {
			return nil
		}
		if err := n.compare(ctx, false); err != nil {
			return err
		}
	}
	return nil
}

// changes asks what an upgrade would change.
func (n *run) changes(ctx context.Context, p *Plan) error {
	dir, err := n.pull(ctx)
	if err != nil {
		return err
	}
	release := n.helmRelease(dir)
	release.Adopt = n.decision.Action == ActAdopt
	rendered, err := n.h.Helm.Plan(ctx, release, func(c helm.Change) { p.Changes = append(p.Changes, n.cleanChange(c)) })
	p.Notes = n.clean(rendered.Notes)
	if err == nil {
		err = refusedOf(p.Changes)
	}
	return err
}

// refusedOf is an error if the API server would refuse some of the changes.
func refusedOf(changes []helm.Change) error {
	var list []string
	for _, c := range changes {
		if c.Problem != "" {
			list = append(list, objectString(c)+": "+c.Problem)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return fmt.Errorf("the API server would refuse it: %s", strings.Join(list, "; "))
}

// Values returns the composed values.
func (r *Runner) Values(ctx context.Context, s Spec, h Host) (Composed, error) {
	n := r.begin(&s, &h, Record{}, nil)
	defer n.end()
	reading := &reading{s: &s, h: &h, fetch: r.fetch, trees: n.tree, warn: n.warn, chart: n.findAndPull}
	c, err := reading.compose(ctx)
	if err != nil {
		return Composed{}, fmt.Errorf("release %s: %w", refString(s.Ref), n.told(err))
	}
	return Composed{Values: c.secret(), Secrets: c.secrets()}, nil
}

// findAndPull is pull for whom nothing was found yet.
func (n *run) findAndPull(ctx context.Context) (dir string, err error) {
	if n.chart.chart.Digest == "" {
		if err := n.find(ctx); err != nil {
			return "", err
		}
	}
	return n.pull(ctx)
}

// secret are the values as one.
func (c *composed) secret() secret.Secret { return secret.New(string(c.json)) }
