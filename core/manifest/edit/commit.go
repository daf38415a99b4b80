package edit

import (
	"slices"
)

// commit makes the group of edits in p, or those of them that can be made.
func (a *application) commit(p *part, group []planned) {
	group = a.dropShared(p, group)
	if len(group) == 0 {
		return
	}
	if len(group) == 1 && isTwoStep(group[0].changes) {
		a.commitSteps(p, group[0])
		return
	}
	next, err := a.try(p, group)
	if err == nil {
		p.accept(next)
		for _, g := range group {
			a.changed[g.edit] = true
		}
		return
	}
	line := p.doc.line(group[0].changes[0].field.anyNode())
	p.doc, _ = parse(p.chunk, a.options) // try has changed the nodes
	if len(group) == 1 {
		a.errs[group[0].edit] = &RefusedError{Line: line, Reason: err.Error()}
		return
	}
	half := len(group) / 2
	a.commit(p, a.replan(p, group[:half]))
	a.commit(p, a.replan(p, group[half:]))
}

// replan returns the changes that the edits of a group take now.
func (a *application) replan(p *part, group []planned) (again []planned) {
	for _, g := range group {
		changes, err := a.plan(p.doc, g.edit)
		if err != nil {
			a.errs[g.edit] = err
		} else if len(changes) > 0 {
			again = append(again, planned{g.edit, changes})
		}
	}
	return again
}

// commitSteps makes an edit that adds entries and removes others, wholly or not
// at all.
func (a *application) commitSteps(p *part, g planned) {
	before := p.chunk
	i := slices.IndexFunc(g.changes, func(c change) bool { return c.remove != nil })
	for _, changes := range [][]change{slices.Delete(slices.Clone(g.changes), i, i+1), nil} {
		if changes == nil {
			var err error
			if changes, err = a.plan(p.doc, g.edit); err != nil {
				a.errs[g.edit] = err
				break
			}
		}
		b := newBatch(p.doc)
		err := b.add(changes)
		var next *doc
		if err == nil {
			next, err = b.result()
		}
		if err != nil {
			a.errs[g.edit] = &RefusedError{Line: before.Line, Reason: err.Error()}
			break
		}
		p.accept(next)
	}
	if a.errs[g.edit] != nil {
		p.chunk = before
		p.doc, _ = parse(before, a.options)
		return
	}
	a.changed[g.edit] = true
}

func (p *part) accept(next *doc) { p.doc, p.chunk = next, next.chunk }

// dropShared takes edits out of the group that would change what they do not
// name, until none is left.
func (a *application) dropShared(p *part, group []planned) []planned {
	for {
		refused := a.rebuild(p, group).shared()
		if len(refused) == 0 {
			return group
		}
		group = slices.DeleteFunc(slices.Clone(group), func(g planned) bool {
			for _, c := range g.changes {
				if err := refused[c.field.value()]; err != nil && c.field.value() != nil {
					a.errs[g.edit] = err
					return true
				}
			}
			return false
		})
	}
}

// try returns the document with the changes of the group, checked: it parses,
// it differs from the old one as meant, and there is nothing left to do.
func (a *application) try(p *part, group []planned) (*doc, error) {
	b := newBatch(p.doc)
	for _, g := range group {
		if err := b.add(g.changes); err != nil {
			return nil, err
		}
	}
	next, err := b.result()
	if err != nil {
		return nil, err
	}
	for _, g := range group {
		if left, err := a.plan(next, g.edit); err != nil || len(left) > 0 {
			return nil, errPlace
		}
	}
	return next, nil
}
