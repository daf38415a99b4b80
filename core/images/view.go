package images

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/images/cache"
	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/images/ref"
)

// View is what is known of the images that may replace a target's.
type View struct {
	Repository string `json:"repository"` // canonical name
	Image      string `json:"image"`      // that runs, as written
	Policy     string `json:"policy,omitempty"`

	// Tags of the listing that counts, those that the policy takes for newest
	// first. Without a policy: by time if that of every tag is known, else by
	// natural order, so that v1.10 comes before v1.9.
	Tags []Tag `json:"tags,omitempty"`
	// Current is the tag that runs, or its digest where there is no tag. It
	// need not be among Tags.
	Current string `json:"current"`

	// Running is what is known of the image that runs by its digest, if it is
	// pinned to one.
	Running *Tag `json:"running,omitempty"`

	// Complete says that there is a listing, and where the rules go by time or
	// platforms, that those of every tag that may be taken are known, and of the
	// one that runs, or cannot be. Only then may anybody decide.
	Complete bool `json:"complete"`
	// Missing are the tags because of whose images it is not.
	Missing []string `json:"missing,omitempty"`
	// Suspects are tags that the last listing lacked, or the digest of, among
	// too many to be believed at once. They are in Tags still.
	Suspects []Vanished `json:"suspects,omitempty"`
	// Vanished are tags that are gone, the latest first, with what was known.
	// Because of them nobody should move to an older image.
	Vanished []Vanished `json:"vanished,omitempty"`

	Scanned  time.Time `json:"scanned,omitzero"` // the last complete listing
	Changed  time.Time `json:"changed,omitzero"` // the last one with news
	Next     time.Time `json:"next,omitzero"`    // when the next is due; zero: none is planned
	Native   bool      `json:"native,omitempty"` // listed by an API that tells times
	Skipped  string    `json:"skipped,omitempty"`
	Error    string    `json:"error,omitempty"` // why the last scan failed
	FailedAt time.Time `json:"failed_at,omitzero"`
	Warning  string    `json:"warning,omitempty"` // what could be better
}

// Tag is one tag of a View.
type Tag struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created,omitzero"`
	// From tells where Created comes from: "label", "annotation", "config",
	// "registry" (when it was made, says the registry) or "push".
	From      string           `json:"from,omitempty"`
	Digest    string           `json:"digest,omitempty"`
	Platforms []cache.Platform `json:"platforms,omitempty"`
	Matches   bool             `json:"matches,omitempty"` // the policy takes it
	Current   bool             `json:"current,omitempty"`
	Suspect   bool             `json:"suspect,omitempty"`
	Problem   string           `json:"problem,omitempty"` // why there is no time
}

// Input is what rules decide on for current, the image that is to be replaced.
// quarantined says why an image must not be taken, or "".
func (v View) Input(current ref.Ref, quarantined func(tag, digest string) string, now time.Time) policy.Input {
	in := policy.Input{Current: current, Complete: v.Complete, Now: now, Incomplete: v.incomplete()}
	if v.Running != nil && v.Running.Digest == current.Digest {
		in.Running = v.Running.rule()
	}
	for _, t := range v.Tags {
		tag := t.rule()
		tag.Quarantined = quarantined(t.Name, t.Digest)
		in.Tags = append(in.Tags, tag)
	}
	for _, t := range v.Vanished {
		in.Vanished = append(in.Vanished, policy.Tag{Tag: t.Name, Digest: t.Digest, Created: t.Created})
	}
	return in
}

// rule is t as rules see it.
func (t Tag) rule() policy.Tag {
	return policy.Tag{
		Tag: t.Name, Digest: t.Digest, Created: t.Created, Platforms: platformNames(t.Platforms), Problem: t.Problem, Suspect: t.Suspect,
	}
}

// incomplete says why v is not complete, "" if it is.
func (v View) incomplete() string {
	switch {
	case v.Complete:
		return ""
	case len(v.Missing) == 0:
		return cmp.Or(v.Error, v.Skipped, "the registry was not read yet")
	}
	const most = 3
	text := strings.Join(v.Missing[:min(len(v.Missing), most)], ", ")
	if more := len(v.Missing) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return "not all that counts is known yet of the images of " + text
}

// Vanished is a tag that a listing lacked.
type Vanished struct {
	Name    string    `json:"name"`
	Since   time.Time `json:"since"` // when it was missing first
	Digest  string    `json:"digest,omitempty"`
	Created time.Time `json:"created,omitzero"`
}

// Relation tells how an image relates to the one that runs.
type Relation string

const (
	Newer    Relation = "newer"
	Current  Relation = "current"
	Older    Relation = "older"
	Unlisted Relation = "unlisted" // it runs, and the registry has it no more
	Omitted  Relation = "omitted"  // Count images stand here
)

// Row is a line of a Window.
type Row struct {
	Relation Relation `json:"relation"`
	Tag      Tag      `json:"tag,omitzero"`
	Count    int      `json:"count,omitempty"`
}

// Window cuts the view to the limit newest tags for people to read; 0 is all.
// The image that runs is always in it, after a row of what was omitted before
// it, or as Unlisted at the end. Without any tags there are no rows: Error
// tells why.
func (v View) Window(limit int) []Row {
	if len(v.Tags) == 0 {
		return nil
	}
	if limit <= 0 {
		limit = len(v.Tags)
	}
	var rows []Row
	relation := Newer
	for i, t := range v.Tags {
		switch {
		case t.Current && relation == Newer:
			if i > limit {
				rows = append(rows, Row{Relation: Omitted, Count: i - limit})
			}
			rows = append(rows, Row{Relation: Current, Tag: t})
			relation = Older
		case i < limit:
			rows = append(rows, Row{Relation: relation, Tag: t})
		}
	}
	if relation == Newer {
		rows = append(rows, Row{Relation: Unlisted, Tag: Tag{Name: v.Current, Current: true}})
	}
	return rows
}

// Counts returns how many tags are newer and older than the one that runs,
// among those that the policy takes; without a policy, among all. known is
// false if the registry has the image that runs no more.
func (v View) Counts() (newer, older int, known bool) {
	for _, t := range v.Tags {
		switch {
		case t.Current && !known:
			known = true
		case v.Policy != "" && !t.Matches:
		case known:
			older++
		default:
			newer++
		}
	}
	return newer, older, known
}
