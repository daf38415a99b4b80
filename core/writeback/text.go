package writeback

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Trailers of a commit.
const (
	trailerPrefix = "Sluice-"
	trailerCause  = "Sluice-Cause"
	trailerUser   = "Sluice-User"
	trailerSync   = "Sluice-Sync"
	trailerJob    = "Sluice-Job"
)

// maxListed bounds how many names a trailer lists, maxName how long one is, in
// bytes; every image reference fits.
const (
	maxListed = 20
	maxName   = 600
)

// trailers names the causes, the users, the syncs and the jobs of a commit.
func trailers(items []*item) map[string]string {
	lists := map[string][]string{}
	for _, i := range items {
		c := i.change
		lists[trailerCause] = append(lists[trailerCause], oneLine(c.Cause.Kind))
		lists[trailerUser] = append(lists[trailerUser], oneLine(c.Cause.User))
		lists[trailerSync] = append(lists[trailerSync], oneLine(c.Sync))
		lists[trailerJob] = append(lists[trailerJob], oneLine(c.Cause.Job))
	}
	t := map[string]string{}
	for name, list := range lists {
		list = named(list)
		if more := len(list) - maxListed; more > 0 {
			list = append(list[:maxListed:maxListed], fmt.Sprintf("and %d more", more))
		}
		if len(list) > 0 {
			t[name] = strings.Join(list, ", ")
		}
	}
	return t
}

// named returns the texts that are not empty, sorted, each once.
func named(texts []string) []string {
	return distinct(slices.DeleteFunc(texts, func(s string) bool { return s == "" }))
}

var identity = regexp.MustCompile(`^[^<>@\s][^<>]* <[^<>@\s]+@[^<>@\s]+>$`)

// author returns whom a commit is by: the person that all of it is for, if that
// is a "Name <mail>", else "", the source's own author. What automation did
// beside a person's release is not said to be theirs.
func author(items []*item) string {
	user := oneLine(items[0].change.Cause.User)
	if !identity.MatchString(user) {
		return ""
	}
	for _, i := range items {
		if oneLine(i.change.Cause.User) != user {
			return ""
		}
	}
	return user
}

// oneLine makes s fit for a line: every run of white space and of characters
// that nobody sees becomes one space.
func oneLine(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "\uFFFD"), func(r rune) bool {
		return unicode.IsSpace(r) || hidden(r)
	}), " ")
	if len(s) > maxName {
		s = strings.ToValidUTF8(s[:maxName], "") + "..."
	}
	return s
}

// clean makes a message fit for a commit: it takes out what terminals and
// people cannot see, and moves lines that git or a script would take for more
// than words, "---" and our own trailers, in by a space.
func clean(message string) string {
	message = strings.ToValidUTF8(strings.ReplaceAll(message, "\r\n", "\n"), "\uFFFD")
	message = strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && hidden(r) {
			return -1
		}
		return r
	}, message)
	lines := strings.Split(strings.TrimSpace(message), "\n")
	for n, line := range lines {
		lines[n] = strings.TrimRightFunc(line, unicode.IsSpace)
		if strings.HasPrefix(line, "---") || len(line) >= len(trailerPrefix) && strings.EqualFold(line[:len(trailerPrefix)], trailerPrefix) {
			lines[n] = " " + lines[n]
		}
	}
	message = strings.Join(lines, "\n")
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "\n..."
	}
	return message
}

// hidden reports whether nobody sees r: control characters, and those of format
// that turn the direction of text or join it.
func hidden(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }
