package writeback

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/sdk/source"
)

// sourceChange makes the commit of a plan: what it changes, who wants it, and
// the words.
func (q *Queue) sourceChange(l lane, p *plan) source.Change {
	var items []*item
	for _, i := range p.items {
		if i.state == planned && len(i.files) > 0 {
			items = append(items, i)
		}
	}
	return source.Change{
		Edits: p.edits(), Branch: l.branch,
		Message: q.message(l, items), Author: author(items), Trailers: trailers(items),
	}
}

// part is what has one message: the changes of one job, or what automation
// does with one template.
type part struct {
	items    []*item
	kind     string
	template string
}

// message returns the words of a commit. Those of several parts are listed
// under a line that says so.
func (q *Queue) message(l lane, items []*item) string {
	var texts []string
	for _, p := range parts(items) {
		text := p.words()
		if p.template != "" {
			custom, err := Execute(p.template, p.data(l))
			if err != nil {
				q.warn(l.source, fmt.Errorf("message of an image automation: %w: the default words are used", err))
			} else {
				text = custom
			}
		}
		texts = append(texts, clean(text))
	}
	return join(texts)
}

// parts groups items by what they have in common, in order.
func parts(items []*item) []*part {
	byKey := map[string]*part{}
	var all []*part
	for _, i := range items {
		c := i.change
		key := c.Cause.Kind + "\x00" + c.Message
		if c.Cause.Kind != Automation {
			key += "\x00" + cmp.Or(c.Cause.Job, c.ID) + "\x00" + c.Subject.Reverts
		}
		if byKey[key] == nil {
			byKey[key] = &part{kind: c.Cause.Kind, template: c.Message}
			all = append(all, byKey[key])
		}
		byKey[key].items = append(byKey[key].items, i)
	}
	return all
}

// join makes one message of several.
func join(texts []string) string {
	if len(texts) == 1 {
		return texts[0]
	}
	first, _, _ := strings.Cut(texts[0], "\n")
	var b strings.Builder
	fmt.Fprintf(&b, "%s, and %d more\n\n", first, len(texts)-1)
	for _, text := range texts {
		fmt.Fprintf(&b, "- %s\n", strings.ReplaceAll(text, "\n", "\n  "))
	}
	return clean(b.String())
}

// words are the default words of a part, those of Flux v1.
func (p *part) words() string {
	c := p.items[0].change
	said := clean(c.Cause.Message) // it may come to nothing
	switch p.kind {
	case Release:
		switch {
		case said != "":
			return said
		case c.Subject.Containers:
			return p.containerWords()
		}
		return releaseWords(c.Subject)
	case Policy:
		return policyWords(said, p.items)
	case Revert:
		return p.revertWords()
	}
	return automationWords(p.images())
}

func automationWords(images []string) string {
	switch len(images) {
	case 0:
		return "Auto-release (no images)"
	case 1:
		return "Auto-release " + images[0]
	}
	return fmt.Sprintf("Auto-release multiple (%d) images\n\n - %s", len(images), strings.Join(images, "\n - "))
}

func releaseWords(s Subject) string {
	image, workloads := "all latest", "all"
	if s.Image != "" {
		image = s.Image
	}
	if len(s.Workloads) > 0 {
		workloads = strings.Join(s.Workloads, ", ")
	}
	return fmt.Sprintf("Release %s to %s", image, workloads)
}

// containerWords lists each workload with its new images, and what failed.
func (p *part) containerWords() string {
	images := map[string][]string{}
	var ids, failed []string
	for _, i := range p.items {
		for n, e := range i.change.Edits {
			switch {
			case e.Image == "":
			case i.errs[n] != nil:
				failed = append(failed, fmt.Sprintf("%s: %v", e.Workload, i.errs[n]))
			case len(i.edits[n]) > 0:
				if images[e.Workload] == nil {
					ids = append(ids, e.Workload)
				}
				images[e.Workload] = append(images[e.Workload], e.Image)
			}
		}
	}
	slices.Sort(ids)
	var b strings.Builder
	fmt.Fprintf(&b, "Update image refs in %s\n", strings.Join(ids, ", "))
	for _, id := range ids {
		fmt.Fprintf(&b, "\n%s", id)
		for _, image := range images[id] {
			fmt.Fprintf(&b, "\n- %s", image)
		}
		b.WriteString("\n")
	}
	if len(failed) > 0 {
		fmt.Fprintf(&b, "\n%s", strings.Join(failed, "\n"))
	}
	return b.String()
}

// Kinds of lines of a policy's message, in their order.
var policyLines = []string{"Automated", "Deautomated", "Locked", "Unlocked", "Updated policies"}

// policyWords has a line for each kind of change.
func policyWords(message string, items []*item) string {
	ids := map[string][]string{}
	for _, i := range items {
		for n, e := range i.change.Edits {
			if len(i.edits[n]) == 0 {
				continue
			}
			for key := range e.Set {
				ids[policyLine(key, true)] = append(ids[policyLine(key, true)], e.Workload)
			}
			for _, key := range e.Remove {
				ids[policyLine(key, false)] = append(ids[policyLine(key, false)], e.Workload)
			}
		}
	}
	var lines []string
	for _, kind := range policyLines {
		if of := distinct(ids[kind]); len(of) > 0 {
			lines = append(lines, kind+": "+strings.Join(of, ", "))
		}
	}
	if rest := distinct(ids[""]); len(lines) == 0 {
		lines = append(lines, "Updated policies: "+strings.Join(rest, ", "))
	}
	switch {
	case message != "":
		return message + "\n\n- " + strings.Join(lines, "\n- ")
	case len(lines) == 1:
		return lines[0]
	}
	return "Updated workload policies\n\n- " + strings.Join(lines, "\n- ")
}

// policyLine returns the kind of the line that tells of an annotation that is
// set or removed, "" for none.
func policyLine(key string, set bool) string {
	switch name := path.Base(key); {
	case name == "automated" && set:
		return "Automated"
	case name == "automated":
		return "Deautomated"
	case name == "locked" && set:
		return "Locked"
	case name == "locked":
		return "Unlocked"
	case name != "locked_user" && name != "locked_msg":
		return "Updated policies"
	case set:
		return "Locked" // anew, by somebody else or for another reason
	}
	return "" // it goes with another
}

func (p *part) revertWords() string {
	paragraphs := []string{"Revert to " + strings.Join(p.images(), ", ")}
	if changes := p.data(lane{}).Changes; len(changes) == 1 && changes[0].From != "" {
		paragraphs[0] = fmt.Sprintf("Revert %s to %s", changes[0].From, changes[0].To)
	}
	var reasons []string
	for _, i := range p.items {
		reasons = append(reasons, i.change.Subject.Reason)
	}
	if reasons = named(reasons); len(reasons) > 0 {
		paragraphs = append(paragraphs, strings.Join(reasons, "\n"))
	}
	if reverts := p.items[0].change.Subject.Reverts; reverts != "" {
		paragraphs = append(paragraphs, fmt.Sprintf("This reverts commit %s, as far as it concerns these images.", reverts))
	}
	return strings.Join(paragraphs, "\n\n")
}

// images returns the references that the part writes, sorted, each once.
func (p *part) images() []string {
	var images []string
	for _, i := range p.items {
		for n, e := range i.change.Edits {
			if e.Image != "" && len(i.edits[n]) > 0 {
				images = append(images, e.Image)
			}
		}
	}
	return distinct(images)
}

func distinct(texts []string) []string {
	slices.Sort(texts)
	return slices.Compact(texts)
}
