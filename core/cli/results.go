package cli

import (
	"io"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/updates/jobs"
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

// resultRows are the lines that people see: of what they did not name not what
// was skipped unless they ask for more, nor what was ignored unless they ask for
// all.
func resultRows(job jobs.Job, verbosity int) []resultRow {
	var rows []resultRow
	for i := range job.Results {
		r := &job.Results[i]
		hidden := r.Status == update.Ignored && verbosity < 2 || r.Status == update.Skipped && verbosity < 1
		if hidden && !slices.Contains(job.Named, r.ID) {
			continue
		}
		from := len(rows)
		if why := resultReason(r, verbosity); why != "" {
			rows = append(rows, resultRow{result: r, text: why})
		}
		for j := range r.Containers {
			rows = append(rows, resultRow{result: r, swap: &r.Containers[j], text: swapText(r.Containers[j])})
		}
		for _, text := range r.Warnings {
			rows = append(rows, resultRow{result: r, text: "warning: " + text})
		}
		if len(rows) == from {
			rows = append(rows, resultRow{result: r})
		}
		rows[from].first = true
	}
	return rows
}

// meant is a job without the results of workloads that it was not about, which
// may be thousands, for programs that did not ask for all.
func meant(job jobs.Job, verbosity int) jobs.Job {
	if verbosity < 2 {
		job.Results = slices.DeleteFunc(slices.Clone(job.Results), func(r update.Result) bool { return r.Reason == update.ReasonNotIncluded })
	}
	return job
}

// resultReason is why a workload is as it is, or what of its policies changes.
// The details of images that are in order are for people who want to know all.
func resultReason(r *update.Result, verbosity int) string {
	inOrder := r.Status == update.Success && len(r.Containers) > 0 || r.Reason == update.ReasonUpToDate
	if inOrder && verbosity < 2 {
		return r.Reason
	}
	return r.Why()
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
func writeResults(w io.Writer, job jobs.Job, verbosity int) error {
	rows := resultRows(job, verbosity)
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
