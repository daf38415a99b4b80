package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/rollout"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// renderProblems prints problems of the configuration with the lines they are
// about, as they stand in the files now.
func (a *app) renderProblems(w io.Writer, problems []rollout.Problem) {
	files := map[string][]byte{}
	list := make(diag.List, 0, len(problems))
	for _, p := range problems {
		if _, read := files[p.File]; !read && p.File != "" {
			files[p.File] = snippetSource(p.File)
		}
		list = append(list, p.Diagnostic())
	}
	config.Render(w, list, files, a.colour(w))
}

// writeReport lists what needs attention: what failed, and what was left alone.
func writeReport(w io.Writer, r *rollout.Report, indent string) {
	line := func(format string, args ...any) {
		_, _ = fmt.Fprintln(w, indent+visibleLines(fmt.Sprintf(format, args...)))
	}
	if r.Error != "" {
		line("error: %s", r.Error)
	}
	if r.Waited != "" {
		line("%s", r.Waited)
	}
	for _, p := range r.Problems {
		line("%s: %s", p.Severity, p)
	}
	for _, o := range r.Objects {
		if o.Problem != nil {
			line("failed: %s", o.Failure())
		}
	}
	for _, o := range r.Missed() {
		line("waits to be applied: %s: %s", o.Ref, o.Reason)
	}
	for _, text := range leftAlone(r.Objects) {
		line("%s", text)
	}
}

// explains reports whether the report tells in lines of its own what the reason
// runs together in one.
func explains(r *rollout.Report, reason string) bool {
	if r == nil {
		return false
	}
	texts := []string{r.Error, r.Waited}
	for _, p := range r.Problems {
		texts = append(texts, p.String())
	}
	for _, o := range r.Failures() {
		texts = append(texts, o.Failure())
	}
	return slices.ContainsFunc(texts, func(text string) bool { return text != "" && strings.Contains(reason, text) })
}

// leftAlone tells which objects are kept or ignored. One reason that holds for
// many objects is told once: a broken file keeps all that the sync owns.
func leftAlone(objects []rollout.Object) []string {
	const most = 3 // named one by one
	type group struct {
		action applier.Action
		reason string
	}
	var order []group
	members := map[group][]string{}
	for _, o := range objects {
		if o.Problem != nil || o.Action != applier.Ignored && o.Action != applier.Kept {
			continue
		}
		g := group{o.Action, o.Reason}
		if members[g] == nil {
			order = append(order, g)
		}
		members[g] = append(members[g], o.Ref.String())
	}
	var lines []string
	for _, g := range order {
		names := members[g]
		what := strings.Join(names, ", ")
		if len(names) > most {
			what = fmt.Sprintf("%d objects", len(names))
		}
		lines = append(lines, fmt.Sprintf("%s: %s: %s", g.action, what, g.reason))
	}
	return lines
}
