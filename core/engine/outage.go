package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/images"
)

// unasked tells, by registry, which of those that have the images of targets
// cannot be asked for news: since when, and why.
func (e *Engine) unasked(targets []images.Target) map[string]string {
	failing := map[string][]images.RepositoryStatus{}
	for _, r := range e.imaging.scanner.Failing(targets) {
		host, _, _ := strings.Cut(r.Repository, "/")
		failing[host] = append(failing[host], r)
	}
	texts := map[string]string{}
	for host, list := range failing {
		first := list[0]
		for _, r := range list {
			if r.Failing.Before(first.Failing) {
				first = r
			}
		}
		what := first.Repository
		if len(list) > 1 {
			what = fmt.Sprintf("%d repositories of %s", len(list), host)
		}
		texts[host] = fmt.Sprintf("%s cannot be asked since %s: %s", what, first.Failing.UTC().Format(time.RFC3339), first.Error)
	}
	return texts
}

// tellUnasked publishes that an automation misses the news of a registry, once
// when that begins and once when it is over. e.mu is held.
func (e *Engine) tellUnasked(n *node, unasked map[string]string) {
	told := n.automation.deaf
	n.automation.deaf = unasked
	for host, text := range unasked {
		if told[host] == "" {
			e.tellRegistry(n, host, eventRegistryDown, text)
		}
	}
	for host := range told {
		if unasked[host] == "" {
			e.tellRegistry(n, host, eventRegistryBack, "all repositories of "+host+" can be asked again")
		}
	}
}

func (e *Engine) tellRegistry(n *node, host, reason, text string) {
	ev := eventOf(n.id, reason, text)
	ev.Attrs = map[string]string{"registry": host}
	e.bus.Publish(ev)
	e.log.Log(context.Background(), levels[ev.Severity], text, "node", n.id, "event", reason, "registry", host)
}
