package remote

import (
	"regexp"
	"strings"
)

// A refused push says why in one of these ways, in this order.
var refusals = []sign{
	// What cannot be helped by trying again.
	{Declined, "; cannot create"}, // 'refs/heads/a' exists; cannot create 'refs/heads/a/b'
	{Declined, "permission denied"},
	{Declined, "read-only file system"},
	{Declined, "hook declined"},

	{Busy, "no space left"},
	{Busy, "unpacker error"},
	{Busy, "internal server error"},
	{Busy, "failed to report status"},

	{Raced, "fetch first"},
	{Raced, "non-fast-forward"},
	{Raced, "stale info"},
	{Raced, "already exists"},
	{Raced, "cannot lock ref"},
	{Raced, "failed to lock"},
	{Raced, "failed to update ref"},
	{Raced, "incorrect old value"},
	{Raced, "but expected"},
	{Raced, ".lock': file exists"},
}

// refusal makes a Fault of a push that has been refused with a reason, by git
// on this side of the wire (local) or by the server, which may have added
// words of its own.
func refusal(t Target, ref string, local bool, reason, words string) *Fault {
	kind := Declined
	if local {
		kind = Raced // git compares the ref with the lease, nothing else
	}
	lower := strings.ToLower(reason + "\n" + words)
	for _, s := range refusals {
		if !local && strings.Contains(lower, s.text) {
			kind = s.kind
			break
		}
	}
	detail := reason
	if words != "" && kind != Raced {
		detail = reason + ": " + words
	}
	return pushFault(t, kind, ref, detail)
}

// pushFault makes a Fault about writing to ref.
func pushFault(t Target, k Kind, ref, detail string) *Fault {
	f := fault(t, k, detail)
	f.Push = true
	if k == Raced || k == Declined {
		f.Ref = ref
	}
	return f
}

// forbidden recognises servers that let somebody read but not write, and say
// so before the push begins.
var forbidden = regexp.MustCompile(`(?i)read[ -]only|not allowed to (push|upload|write)|write access|permission to .* denied|denied by|permission to push|archived|protected branch|service not enabled`)

// explainNoPush makes a Fault of a push that did not come to an answer for
// the ref.
func explainNoPush(t Target, ref, said string) *Fault {
	f := classify(t, said)
	words := serverWords(said)
	switch {
	case f.Kind == Denied || f.Kind == NotFound:
		// What a forge adds tells who lacks which right.
		f = fault(t, f.Kind, words)
	case forbidden.MatchString(said):
		if words == "" {
			words = telling(said, "")
		}
		f = pushFault(t, Declined, ref, words)
	}
	f.Push = true
	return f
}

// serverWords gathers what the server says to people, from lines that start
// with "remote: " or "ERROR: ".
func serverWords(said string) string {
	var words []string
	for line := range strings.Lines(said) {
		line = strings.TrimSpace(line)
		rest, ok := strings.CutPrefix(line, "remote:")
		if !ok {
			rest, ok = strings.CutPrefix(line, "ERROR:")
		}
		rest = strings.Trim(rest, " \t=*#-")
		rest = strings.TrimPrefix(strings.TrimPrefix(rest, "error: "), "ERROR: ")
		if ok && rest != "" {
			words = append(words, rest)
		}
	}
	return strings.Join(words, " ")
}
