package updates

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/event"
	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/state"
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/core/writeback"
)

// memory is what is remembered of an automation. Updater.mu guards it.
type memory struct {
	held    map[string]string   // by subject, why what was selected is not written
	landed  map[string]landing  // by subject, what was committed and may not be in the source's tree yet
	offered map[string]proposal // by subject, what was pushed to another branch
	trouble map[string]string   // by subject, what came of the last change if that was no commit
	advice  string              // what ends the trouble; empty: nobody knows
	dropped map[string]string   // by subject, why the last change was not wanted any more
	told    map[string]string   // by workload, what could not be decided and was told of
	deaf    map[string]string   // by registry, that it cannot be asked, as was told
}

// landing is a change that was committed during a run of the source, or before
// one: only a later run is sure to see it.
type landing struct {
	target string
	after  uint64
}

// proposal is a change that waits on a branch for somebody to merge it.
type proposal struct {
	Target   string `json:"target"`
	Branch   string `json:"branch"`
	Revision string `json:"revision"`
}

// Record is what an automation remembers across restarts.
type Record struct {
	Offered map[string]proposal `json:"offered,omitempty"`
}

// Records are the records of automations, by id. Who has an automation's node
// writes and removes them.
const Records state.Kind[Record] = "automation"

// Recall begins to remember an automation that is declared anew: nothing, but
// for what its record holds. An error is for the log.
func (u *Updater) Recall(id string) error {
	r, _, err := Records.Get(u.store, id)
	if r.Offered == nil {
		r.Offered = map[string]proposal{}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.memory[id] = &memory{landed: map[string]landing{}, offered: r.Offered, trouble: map[string]string{}, dropped: map[string]string{}}
	return err
}

// Record is what is to be on disk of an automation.
func (u *Updater) Record(id string) Record {
	u.mu.Lock()
	defer u.mu.Unlock()
	m := u.memory[id]
	if m == nil {
		return Record{}
	}
	return Record{Offered: maps.Clone(m.offered)}
}

// Forget forgets an automation that is not declared any more.
func (u *Updater) Forget(id string) error {
	u.mu.Lock()
	delete(u.memory, id)
	u.mu.Unlock()
	return u.gate.Forget(func(sub string) bool { return strings.HasPrefix(sub, id+" ") })
}

// Waits says why what an automation has decided is not written yet, "" if
// nothing keeps it from that.
func (u *Updater) Waits(id string) string {
	count, why := u.queue.Waits(func(c writeback.Change) bool { return c.Cause.Job == id })
	if why == nil {
		return ""
	}
	return fmt.Sprintf("waits to write %s: %s", words.Count(count, "change"), words.OneLine(why))
}

// Trouble sums up what an automation could not write, "" if there is nothing,
// and what ends that, "" if nobody knows.
func (u *Updater) Trouble(id string) (text, advice string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	m := u.memory[id]
	if m == nil {
		return "", ""
	}
	return m.troubleText(), m.advice
}

// troubleText sums up what could not be written.
func (m *memory) troubleText() string {
	if len(m.trouble) == 0 {
		return ""
	}
	first := slices.Sorted(maps.Keys(m.trouble))[0]
	text := "not written: " + strings.TrimSpace(first) + ": " + m.trouble[first]
	if n := len(m.trouble) - 1; n > 0 {
		text += fmt.Sprintf(" (and %d more)", n)
	}
	return text
}

// Looked takes over what a look of an automation has come to. It returns what is
// to be published of it, in order, and whether the automation's record is
// another than before.
func (u *Updater) Looked(id string, l *Look) (news []event.Event, recorded bool) {
	undecided, unasked, recorded := u.remember(id, l)
	for _, ev := range unasked {
		u.log.Log(context.Background(), ev.Severity.Level(), ev.Message, "node", id, "event", ev.Reason, "registry", ev.Attrs["registry"])
	}
	return slices.Concat(undecided, unasked), recorded
}

func (u *Updater) remember(id string, l *Look) (undecided, unasked []event.Event, recorded bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	m := u.memory[id]
	if m == nil {
		return nil, nil, false
	}
	m.held = l.held
	before := len(m.offered)
	maps.DeleteFunc(m.offered, func(sub string, _ proposal) bool { return !l.wants(sub) })
	maps.DeleteFunc(m.landed, func(sub string, _ landing) bool { return !l.wants(sub) })
	for _, texts := range []map[string]string{m.trouble, m.dropped} {
		maps.DeleteFunc(texts, func(sub string, _ string) bool { return !l.wants(sub) })
	}
	return m.undecided(id, l.Results), m.unasked(id, l.unasked), len(m.offered) != before
}

// undecided tells what could not be decided of workloads, once for as long as it
// stays the same.
func (m *memory) undecided(id string, results []update.Result) (news []event.Event) {
	told := m.told
	m.told = map[string]string{}
	for _, r := range results {
		if r.Status != update.Failed && r.Status != update.Unknown {
			continue
		}
		text := strings.TrimSuffix(r.ID+": "+r.Reason+": "+r.Detail, ": ")
		m.told[r.ID] = text
		if told[r.ID] != text {
			news = append(news, event.Event{Node: id, Object: r.ID, Reason: EventNotDecided, Severity: event.Warning, Message: text})
		}
	}
	return news
}

// unasked tells that an automation misses the news of a registry, once when that
// begins and once when it is over.
func (m *memory) unasked(id string, unasked map[string]string) (news []event.Event) {
	told := m.deaf
	m.deaf = unasked
	for host, text := range unasked {
		if told[host] == "" {
			news = append(news, registryEvent(id, host, EventRegistryDown, text))
		}
	}
	for host := range told {
		if unasked[host] == "" {
			news = append(news, registryEvent(id, host, EventRegistryBack, "all repositories of "+host+" can be asked again"))
		}
	}
	return news
}

func registryEvent(id, host, reason, text string) event.Event {
	ev := eventOf(id, reason, text)
	ev.Attrs = map[string]string{"registry": host}
	return ev
}

// heldAlready is why the last look has held a subject back.
func (u *Updater) heldAlready(id, sub string) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if m := u.memory[id]; m != nil {
		return m.held[sub]
	}
	return ""
}

// flying says why a target need not be written though the tree lacks it: it was
// committed and not fetched yet, or it waits on a branch.
func (u *Updater) flying(cfg config.ImageAutomation, sub, target string, source uint64) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	m := u.memory[cfg.Address]
	if m == nil {
		return "the automation is not in the configuration any more"
	}
	if l, ok := m.landed[sub]; ok {
		if source <= l.after {
			return fmt.Sprintf("%s was committed, and the source has not been asked since", l.target)
		}
		delete(m.landed, sub)
	}
	if p, ok := m.offered[sub]; ok && p.Target == target && p.Branch == cfg.Branch {
		return fmt.Sprintf("it waits on the branch %s, in %s, to be merged", p.Branch, words.Short(p.Revision))
	}
	return ""
}
