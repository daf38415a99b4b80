package engine

import (
	"fmt"
	"time"

	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/sched"
)

// newsKey begins the timetable's keys for automations that have heard of new
// images and look whether there is more, so that what comes together is one
// commit.
const newsKey = "news "

const (
	newsStep     = 50 * time.Millisecond // between two looks at the scans that are under way
	newsPatience = 2 * time.Second       // how long they are waited for

	firstStep     = time.Second      // between two looks at scans that are the first
	firstPatience = 30 * time.Second // how long they are waited for, from an automation's first run
)

// hearNews has the automations of a sync, or with "" all, look once the scans
// are over that are under way. e.mu is held.
func (e *Engine) hearNews(sync string) {
	for id, n := range e.nodes {
		if n.automation == nil || sync != "" && n.automation.cfg.Target != sync || !n.automation.news.IsZero() {
			continue
		}
		n.automation.news = time.Now()
		e.times.Remove(newsKey + id) // of an automation of that name that is no more
		e.times.Set(newsKey+id, newsStep, 0)
	}
}

// gatherNews has an automation look that has heard news, unless scans are under
// way that were when it heard, or began right after. e.mu is held.
func (e *Engine) gatherNews(id string) {
	n := e.nodes[id]
	if n == nil || n.automation == nil || n.automation.news.IsZero() {
		e.times.Remove(newsKey + id)
		return
	}
	since := n.automation.news
	if e.imaging.scanner.UnderWay(since.Add(newsStep)) && time.Since(since) < newsPatience {
		e.times.Postpone(newsKey+id, newsStep)
		return
	}
	n.automation.news = time.Time{}
	e.times.Remove(newsKey + id)
	e.triggerLocked(id, sched.Webhook)
}

// awaitsScans says which first scans an automation has to wait for, "" if none.
// e.mu is held.
func (e *Engine) awaitsScans(n *node) string {
	a := n.automation
	now := time.Now()
	if a.patient.IsZero() {
		a.patient = now.Add(firstPatience)
	}
	if !now.Before(a.patient) {
		return ""
	}
	sync, _ := e.nodes[a.cfg.Target].files()
	own := map[string]bool{}
	for _, w := range e.workloads[sync.Applier] {
		own[w.ID] = w.Sync() == a.cfg.Target
	}
	awaited := e.imaging.scanner.Awaited(func(t images.Target) bool {
		return t.Rules != nil && (t.Consumer.Applier == "" || t.Consumer.Applier == sync.Applier && own[t.Workload])
	})
	if awaited == 0 {
		return ""
	}
	if awaited == 1 {
		return "for the first scan of a repository"
	}
	return fmt.Sprintf("for the first scans of %d repositories", awaited)
}
