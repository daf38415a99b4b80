package updates

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/sluice-gitops/sluice/core/images/gate"
	"github.com/sluice-gitops/sluice/core/writeback"
)

// repeats reports whether an automation has failed at all of the subjects for
// the same reason when it tried last.
func (u *Updater) repeats(id string, subjects []string, why string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	m := u.memory[id]
	if m == nil {
		return false
	}
	for _, sub := range subjects {
		if cmp.Or(m.trouble[sub], m.dropped[sub]) != why {
			return false
		}
	}
	return len(subjects) > 0
}

// noteAutomated takes over what became of changes by an automation, or of its
// reverts, that ended together.
func (u *Updater) noteAutomated(id string, ended []writeback.Ended) {
	a, ok := u.site.Automation(id)
	if !ok {
		return
	}
	var followed []gate.Watch
	var news Outcome
	for _, end := range ended {
		c, o := end.Change, end.Outcome
		news.Offered = news.Offered || c.Branch != ""
		if o.Refused {
			u.advise(id, u.adviceFor(id, c))
		}
		src, declared := u.site.Newest(c.Source)
		for i := range c.Edits {
			news.Failed = u.noteEdit(id, c, o, i, src, declared) || news.Failed
			if w, ok := u.watchOf(a.Config, c, o, i); ok {
				followed = append(followed, w)
			}
		}
	}
	news.Trouble, news.Advice = u.settle(id)
	u.follow(followed)
	u.site.Concluded(id, news)
}

func (u *Updater) advise(id, advice string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if m := u.memory[id]; m != nil {
		m.advice = advice
	}
}

// settle is Trouble. Without trouble there is nothing to advise any more.
func (u *Updater) settle(id string) (text, advice string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	m := u.memory[id]
	if m == nil {
		return "", ""
	}
	if text = m.troubleText(); text == "" {
		m.advice = ""
	}
	return text, m.advice
}

// noteEdit takes over what became of edit i of a change, and reports whether that
// is a failure. src is what is known of its source, if that is declared.
func (u *Updater) noteEdit(id string, c writeback.Change, o writeback.Outcome, i int, src Newest, declared bool) (failed bool) {
	subjects := subjectsOf(u.Setup().Book, c.Edits[i])
	u.mu.Lock()
	defer u.mu.Unlock()
	m := u.memory[id]
	if m == nil {
		return false
	}
	for _, sub := range subjects {
		delete(m.trouble, sub)
		delete(m.dropped, sub)
		switch {
		case slices.Contains(o.Withdrawn, i):
			m.dropped[sub] = o.WhyNot(i)
		case !o.Wrote(i):
			m.trouble[sub], failed = o.WhyNot(i), true
		case c.Branch != "":
			m.offered[sub] = proposal{Target: c.Edits[i].Image, Branch: c.Branch, Revision: o.Revision.ID}
		case declared:
			m.landed[sub] = landing{target: c.Edits[i].Image, after: u.marks.lastBefore(src, o.Revision.ID)}
		}
	}
	return failed
}

// adviceFor says what a person can do about a source that refuses a commit.
func (u *Updater) adviceFor(id string, c writeback.Change) string {
	branch := c.Branch
	if branch == "" {
		src, _ := u.site.Newest(c.Source)
		branch = src.Revision.Ref
	}
	text := fmt.Sprintf("write access of %s to %s (write { }, and a key that the server lets push there)", c.Source, cmp.Or(branch, "its branch"))
	if c.Branch == "" {
		text += fmt.Sprintf(", or branch = \"...\" in %s, for a pull request", id)
	}
	return text
}

// commitsWait implements writeback.Options.Waiting: automations show what their
// changes wait for.
func (u *Updater) commitsWait(source string) {
	for _, a := range u.site.Automations("") {
		if f, _ := u.site.Files(a.Config.Target); f.Sync.Source != source || a.Suspended != "" {
			continue
		}
		if text := u.Waits(a.Config.Address); text != "" {
			u.site.Concluded(a.Config.Address, Outcome{Waits: text})
		}
	}
}
