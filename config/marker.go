package config

import (
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/schema"
)

var markerSchema = schema.Schema{Attributes: []schema.Attribute{{Name: "name"}}}

// The names of markers where none is given.
const (
	defaultMarkerTag        = "flux-sync"
	defaultMarkerAnnotation = "sluice.dev/sync-marker"
)

// Marker is where a sync writes which revision it applied last.
type Marker struct {
	Kind  string // "tag", in the repository, or "annotation", where the objects are
	Name  string
	Range diag.Range
}

// marker returns the only marker block; nil if there is none.
func (a *arguments) marker() *Marker {
	var found *hcl.Block
	for _, b := range a.blocks {
		if b.Type != "marker" {
			continue
		}
		if found != nil {
			a.l.errorf(b.DefRange, "Duplicate block", "There is already a block \"marker\" at %s.", toRange(found.DefRange))
			continue
		}
		found = b
	}
	if found == nil {
		return nil
	}
	b := a.l.content(found.Body, found.DefRange, markerSchema, a.sc)
	m := &Marker{Kind: found.Labels[0], Range: toRange(found.DefRange)}
	switch m.Kind {
	case "tag":
		m.Name = b.string("name", defaultMarkerTag)
		if problem := checkRefName(m.Name); problem != "" {
			a.l.errorf(b.at("name"), "Wrong tag", "%q can be no tag: %s.", m.Name, problem)
		}
	case "annotation":
		m.Name = b.string("name", defaultMarkerAnnotation)
		if problem := checkAnnotation(m.Name); problem != "" {
			a.l.errorf(b.at("name"), "Wrong annotation", "%q can be no annotation: %s.", m.Name, problem)
		}
	default:
		a.l.errorf(found.LabelRanges[0], "Unknown marker", "A marker is a \"tag\" or an \"annotation\".%s", didYouMean(m.Kind, []string{"tag", "annotation"}))
		return nil
	}
	return m
}

// claimTag reports a tag that two syncs would move to and fro.
func (l *loader) claimTag(s Sync, header hcl.Range) {
	if s.Marker == nil || s.Marker.Kind != "tag" || s.Source == "" {
		return
	}
	if first, ok := l.claim("tag "+s.Marker.Name+" of "+s.Source, s.Address, header); !ok {
		l.errorf(header, "Duplicate marker", "The tag %q in %s is that of %s, at %s. Give each sync a tag of its own.",
			s.Marker.Name, s.Source, first.address, toRange(first.at))
	}
}

// checkRefName says what is wrong with the name of a branch or tag, by the
// rules of git check-ref-format.
func checkRefName(s string) string {
	switch {
	case s == "":
		return "it is empty"
	case strings.HasPrefix(s, "refs/"):
		return "write it without refs/"
	case strings.HasPrefix(s, "-"):
		return "it starts with -"
	case strings.ContainsAny(s, " ~^:?*[\\\x7f") || strings.ContainsFunc(s, isControl):
		return "it holds a space or one of ~^:?*[\\"
	case strings.Contains(s, "..") || strings.Contains(s, "@{") || s == "@" || s == "HEAD":
		return "git gives it another meaning"
	case strings.HasSuffix(s, "."):
		return "it ends with a dot"
	case slices.ContainsFunc(strings.Split(s, "/"), badRefPart):
		return "a part of it between slashes is empty, starts with a dot or ends with .lock"
	}
	return ""
}

func badRefPart(s string) bool {
	return s == "" || s[0] == '.' || strings.HasSuffix(s, ".lock")
}

var annotationName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$`)

const maxAnnotationPrefix = 253

// checkAnnotation says what is wrong with the key of an annotation.
func checkAnnotation(s string) string {
	prefix, name, prefixed := strings.Cut(s, "/")
	if !prefixed {
		prefix, name = "", s
	}
	switch {
	case prefix == "sluice.dev" && s != defaultMarkerAnnotation:
		return "sluice.dev/ is for Sluice's own"
	case prefixed && (prefix == "" || len(prefix) > maxAnnotationPrefix || !groupName.MatchString(prefix)):
		return "before the slash stands a domain, such as \"example.com\""
	case !annotationName.MatchString(name):
		return "a name starts and ends with a letter or digit, and holds letters, digits, _, . and -, at most 63 of them"
	}
	return ""
}
