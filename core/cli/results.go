package cli

import (
	"io"
	"strings"

	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/images/update"
)

// resultsHeader is above what becomes of workloads.
const resultsHeader = "WORKLOAD\tSTATUS\tUPDATES"

// resultRow is one line of a result; those after the first have only updates.
type resultRow struct {
	result *update.Result
	swap   *update.Swap // nil: of the workload
	first  bool
	text   string
}

// resultRows are the lines that people see: not what was skipped unless they ask
// for more, nor what was ignored unless they ask for all.
func resultRows(results []update.Result, verbosity int) []resultRow {
	var rows []resultRow
	for i := range results {
		r := &results[i]
		if r.Status == update.Ignored && verbosity < 2 || r.Status == update.Skipped && verbosity < 1 {
			continue
		}
		from := len(rows)
		if why := resultReason(r, verbosity); why != "" {
			rows = append(rows, resultRow{result: r, text: why})
		}
		for j := range r.Containers {
			rows = append(rows, resultRow{result: r, swap: &r.Containers[j], text: swapText(r.Containers[j])})
		}
		if len(rows) == from {
			rows = append(rows, resultRow{result: r})
		}
		rows[from].first = true
	}
	return rows
}

// resultReason is why a workload is as it is. The details of what is in order are
// for people who want to know all.
func resultReason(r *update.Result, verbosity int) string {
	inOrder := r.Status == update.Success || r.Reason == update.ReasonUpToDate
	if inOrder && verbosity < 2 {
		return r.Reason
	}
	return joined(r.Reason, r.Detail)
}

// joined is a reason with its detail.
func joined(reason, detail string) string {
	return strings.TrimPrefix(strings.TrimSuffix(reason+": "+detail, ": "), ": ")
}

// swapText is a swap in short: the tag alone of what comes, if nothing else of
// the reference changes.
func swapText(s update.Swap) string {
	return s.Container + ": " + s.Current + " -> " + newPart(s.Current, s.Target)
}

func newPart(current, target string) string {
	from, fromErr := ref.Parse(current)
	to, toErr := ref.Parse(target)
	switch {
	case fromErr != nil || toErr != nil || from.Name() != to.Name():
		return target
	case to.Tag == "":
		return strings.TrimPrefix(target, to.Name())
	case to.Digest != "":
		return to.Tag + "@" + to.Digest
	}
	return to.Tag
}

// writeResults is nothing if there is nothing to see.
func writeResults(w io.Writer, results []update.Result, verbosity int) error {
	rows := resultRows(results, verbosity)
	if len(rows) == 0 {
		return nil
	}
	return table(w, resultsHeader, func(row func(...any)) {
		for _, r := range rows {
			if r.first {
				row(r.result.ID, r.result.Status, r.text)
			} else {
				row("", "", r.text)
			}
		}
	})
}

// failedResults reports whether something failed that was to change.
func failedResults(results []update.Result) bool {
	for _, r := range results {
		if r.Status == update.Failed {
			return true
		}
	}
	return false
}
