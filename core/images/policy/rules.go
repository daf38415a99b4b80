package policy

import (
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/images/ref"
)

// DigestMode says what becomes of the digest of a reference.
type DigestMode string

// The zero DigestMode is KeepDigest.
const (
	KeepDigest DigestMode = "keep" // a pinned reference stays pinned, to the new image; another stays as it is
	PinDigest  DigestMode = "pin"  // every reference is pinned
	DropDigest DigestMode = "drop" // no reference is
)

// Rules are all that decides which tag a container may move to. The zero Rules
// take nothing.
type Rules struct {
	Policy    Policy
	Err       error         // why the rules are not valid, with their place; nothing is taken then
	Source    string        // where they come from: "annotation sluice.dev/tag.web", "default"
	Platforms []string      // such as "linux/amd64"; an image must have them all
	MinAge    time.Duration // how old an image must be
	// Downgrade allows moves backwards: to a tag that the policy's own order
	// puts behind the one that runs, or of which that cannot be told.
	Downgrade bool
	Digest    DigestMode
}

// Tag is a tag with what is known of its image.
type Tag struct {
	Tag         string
	Digest      string
	Created     time.Time
	Platforms   []string // "os/architecture" or "os/architecture/variant"
	Problem     string   // why Created or Platforms cannot be known
	Quarantined string   // why it must not be taken; "" if it may be
	Suspect     bool     // the latest listing lacked it, which is not believed yet
}

// Input is what Select decides on.
type Input struct {
	Current ref.Ref // zero: there is none, and every tag is ahead of it
	// Running is what is known of the image that runs by its digest, if it
	// is pinned; its tag may name another image by now.
	Running    Tag
	Tags       []Tag // each name once
	Complete   bool  // all facts that the rules need are there
	Incomplete string
	Vanished   []Tag // that the registry had until lately
	Now        time.Time
}

// Verdict is what the rules say of one tag.
type Verdict struct {
	Tag      string `json:"tag"`
	Accepted bool   `json:"accepted"` // it may be selected; the best one that may is
	Reason   string `json:"reason"`
}

// Selection is the outcome of Select.
type Selection struct {
	Selected string    `json:"selected"` // the tag to move to; "": stay
	Error    string    `json:"error"`    // why it cannot be told
	Tags     []Verdict `json:"tags"`     // of each tag, the best first

	Reason      string    `json:"reason,omitempty"`       // of the outcome, in one sentence
	Digest      string    `json:"digest,omitempty"`       // of Selected, as far as known
	NeedsDigest bool      `json:"needs_digest,omitempty"` // it must be set before Target is called
	Quarantined []string  `json:"quarantined,omitempty"`  // tags that are better and in quarantine, the best first
	NotBefore   time.Time `json:"not_before,omitzero"`    // when a better tag is old enough, if one is too young
}

// NeedsTimes reports whether Select looks at the times of images.
func (r Rules) NeedsTimes() bool { return r.Policy.NeedsTimes() || r.MinAge > 0 }

// NeedsPlatforms reports whether Select looks at the platforms of images.
func (r Rules) NeedsPlatforms() bool { return len(r.Platforms) > 0 }

// NeedsDigest reports whether what replaces current is written with a digest.
func (r Rules) NeedsDigest(current ref.Ref) bool {
	return r.Digest == PinDigest || r.Digest != DropDigest && current.Digest != ""
}

// Wants returns what tells of a tag whether Select looks at the time or the
// platforms of its image, where current is to be replaced. A tag whose name
// tells already that it is behind current is not worth a request.
func (r Rules) Wants(current ref.Ref) func(tag string) bool {
	if r.Err != nil || !r.NeedsTimes() && !r.NeedsPlatforms() {
		return func(string) bool { return false }
	}
	o, from := r.Policy.total(), ranked{}
	if tag := tagOf(current); tag != "" && !r.Downgrade && !o.timed {
		from = r.Policy.rank(Candidate{Tag: tag})
	}
	return func(tag string) bool {
		v, ok := r.Policy.read(tag)
		return ok && (from.value == nil || o.primary(ranked{value: v}, from) <= 0)
	}
}

// String returns the pattern.
func (r Rules) String() string { return r.Policy.String() }

// Target returns current with the selected tag: its name stays as it is
// written. Without a selection, or without the digest that it needs, it returns
// current.
func (r Rules) Target(current ref.Ref, s Selection) ref.Ref {
	if s.Selected == "" || r.NeedsDigest(current) && s.Digest == "" {
		return current
	}
	next := current.WithTag(s.Selected)
	if r.NeedsDigest(current) {
		next.Digest = s.Digest
	}
	return next
}

// lacks returns the first platform of wanted that is not among platforms, "" if
// all are. "linux/arm" is there in any variant, and arm64 is arm64/v8.
func lacks(platforms, wanted []string) string {
	for _, want := range wanted {
		has := func(have string) bool { return plain(have) == plain(want) || strings.HasPrefix(have, want+"/") }
		if !slices.ContainsFunc(platforms, has) {
			return want
		}
	}
	return ""
}

// plain leaves out the only variant that arm64 has.
func plain(platform string) string {
	if strings.HasSuffix(platform, "/arm64/v8") {
		return strings.TrimSuffix(platform, "/v8")
	}
	return platform
}

// tagOf is the tag of a reference: without tag and digest the one that the
// kubelet takes, and with a digest alone none.
func tagOf(r ref.Ref) string {
	if r.Tag == "" && r.Digest == "" && r.Repository != "" {
		return latest
	}
	return r.Tag
}
