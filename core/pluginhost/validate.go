package pluginhost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Validate asks the plugin that offers kind/typ what is wrong with
// configurations, by `BINARY validate`, without opening anything and without
// the daemon's directories. There is a list for each, in their order, with the
// problems at their attribute paths.
func (h *Host) Validate(kind, typ string, configs []json.RawMessage) ([]diag.List, error) {
	found, err := h.find(h.ctx, kind, typ)
	if err != nil {
		return nil, err
	}
	offer, _ := found.description.offer(kind, typ) // find has seen it
	for _, config := range configs {
		h.scrub.Add(sensitiveValues(offer.Schema, config)...)
	}
	lists, err := h.validate(found, client.Validation{Kind: kind, Type: typ, Configs: configs})
	if err != nil {
		return nil, h.scrub.Err(fmt.Errorf("plugin %s: %s validate: %w", found.name, found.path, err))
	}
	for i := range lists {
		lists[i] = h.scrub.Diags(lists[i])
	}
	return lists, nil
}

func (h *Host) validate(c *candidate, question client.Validation) ([]diag.List, error) {
	exe, err := h.open(c)
	if err != nil {
		return nil, err
	}
	defer func() { _ = exe.Close() }() // only read from
	input, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(h.ctx, h.timing.describe)
	defer cancel()
	data, err := ask(ctx, exe, pluginEnv(h.o.Environ, nil, c.env, os.TempDir(), os.TempDir()), "validate", input)
	if err != nil {
		return nil, err
	}
	var verdict client.Verdict
	if err := json.Unmarshal(data, &verdict); err != nil {
		return nil, errors.New("the answer is no verdict")
	}
	if n := len(verdict.Problems); n != 0 && n != len(question.Configs) {
		return nil, fmt.Errorf("the answer is about %d configurations, not %d", n, len(question.Configs))
	}
	return verdict.Diagnostics()
}
