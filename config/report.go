package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// minScrub is the length from which a secret is looked for inside messages.
// Shorter ones would blank out ordinary words.
const minScrub = 4

// report collects diagnostics. The messages that HCL makes are kept in its
// words, except that no secret known by the end of the load stays in them.
type report struct {
	list    diag.List
	secrets map[string]struct{}
}

func (r *report) errorf(at hcl.Range, summary, detail string, args ...any) {
	r.add(diag.Error, at, summary, fmt.Sprintf(detail, args...))
}

func (r *report) warnf(at hcl.Range, summary, detail string, args ...any) {
	r.add(diag.Warning, at, summary, fmt.Sprintf(detail, args...))
}

func (r *report) add(s diag.Severity, at hcl.Range, summary, detail string) {
	d := diag.Diagnostic{Severity: s, Summary: summary, Detail: detail}
	if at.Filename != "" || at.Start.Line > 0 {
		rng := toRange(at)
		d.Subject = &rng
	}
	r.list = append(r.list, d)
}

// hclRange is how HCL writes a place inside a message: main.hcl:2,3-6.
var hclRange = regexp.MustCompile(`:(\d+),(\d+)-(?:\d+,)?\d+`)

// hcl adds what HCL found and reports whether it was free of errors.
func (r *report) hcl(diags hcl.Diagnostics) bool {
	for _, d := range diags {
		severity := diag.Error
		if d.Severity == hcl.DiagWarning {
			severity = diag.Warning
		}
		var at hcl.Range
		if d.Subject != nil {
			at = *d.Subject
		}
		r.add(severity, at, strings.TrimSuffix(d.Summary, "."), hclRange.ReplaceAllString(d.Detail, ":$1:$2"))
	}
	return !diags.HasErrors()
}

// secret remembers a value that must not be printed.
func (r *report) secret(value string) {
	if value == "" {
		return
	}
	if r.secrets == nil {
		r.secrets = map[string]struct{}{}
	}
	r.secrets[value] = struct{}{}
}

// finish returns the diagnostics in the order in which they were found, each
// once, without secrets.
func (r *report) finish() diag.List {
	var known []string
	for s := range r.secrets {
		if len(s) < minScrub {
			continue
		}
		known = append(known, s)
		if quoted := strings.Trim(strconv.Quote(s), `"`); quoted != s {
			known = append(known, quoted)
		}
	}
	// The longest first, so that a secret that contains another goes whole.
	slices.SortFunc(known, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	for i, d := range r.list {
		for _, s := range known {
			d.Summary = strings.ReplaceAll(d.Summary, s, secret.Redacted)
			d.Detail = strings.ReplaceAll(d.Detail, s, secret.Redacted)
		}
		r.list[i] = d
	}
	return unique(r.list)
}

// unique drops repetitions, keeping the first of each.
func unique(l diag.List) diag.List {
	seen := map[string]struct{}{}
	return slices.DeleteFunc(slices.Clone(l), func(d diag.Diagnostic) bool {
		key := fmt.Sprintf("%d|%s|%s|%s", d.Severity, d.Error(), d.Path, d.Summary)
		_, dup := seen[key]
		seen[key] = struct{}{}
		return dup
	})
}

func toRange(r hcl.Range) diag.Range {
	return diag.Range{File: r.Filename, Start: toPos(r.Start), End: toPos(r.End)}
}

func toPos(p hcl.Pos) diag.Pos {
	return diag.Pos{Line: p.Line, Column: p.Column, Byte: p.Byte}
}
