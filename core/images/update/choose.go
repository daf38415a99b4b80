package update

import (
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/images/ref"
)

// choice is what becomes of one container.
type choice struct {
	kind      kind
	target    ref.Ref // of change
	why       string  // for a person
	warning   string  // likewise, whatever the kind
	notBefore time.Time
}

// kind orders choices by how much they say about the workload if none of its
// containers changes.
type kind int

const (
	unused    kind = iota // the release is not about it
	upToDate              // it has the image already
	undecided             // nobody can tell
	change
)

// chosen compares target with what c has.
func chosen(c Container, target ref.Ref) choice {
	if target == c.Current {
		return choice{kind: upToDate}
	}
	return choice{kind: change, target: target}
}

// newest decides on the newest image that the rules of c take.
func newest(c Container) choice {
	in := policy.Input{Incomplete: "nothing is known of its repository"}
	if c.Input != nil {
		in = c.Input()
	}
	in.Current = c.Current
	s := c.Rules.Select(in)
	ch := choice{kind: undecided, notBefore: s.NotBefore, warning: barred(c.Current, s.Quarantined)}
	switch {
	case s.Error != "":
		ch.why = s.Error
	case s.Selected == "" && !anyAccepted(s):
		ch.kind, ch.why = unused, s.Reason
	case s.Selected == "":
		ch.kind, ch.why = upToDate, s.Reason
	case s.NeedsDigest:
		ch.why = "it is pinned, and the digest of " + s.Selected + " is not known yet"
	default:
		got := chosen(c, c.Rules.Target(c.Current, s))
		ch.kind, ch.target = got.kind, got.target
	}
	return ch
}

// barred tells of the best of the tags that are in quarantine.
func barred(current ref.Ref, tags []string) string {
	if len(tags) == 0 {
		return ""
	}
	return fmt.Sprintf("%s is in quarantine: `sluice images quarantine lift %s:%s` ends that", tags[0], current.CanonicalName(), tags[0])
}

func anyAccepted(s policy.Selection) bool {
	for _, v := range s.Tags {
		if v.Accepted {
			return true
		}
	}
	return false
}

// judge makes a result of what decide says of each container. One that cannot
// be decided does not keep the others from changing.
func judge(containers []Container, decide func(Container) choice) Result {
	var r Result
	var details []string
	most := unused
	for _, c := range containers {
		ch := choice{kind: undecided, why: c.Invalid}
		if c.Invalid == "" {
			ch = decide(c)
		}
		if ch.kind == change && c.Fixed != "" {
			ch = choice{kind: undecided, why: c.Fixed}
		}
		most = max(most, ch.kind)
		if ch.kind == change {
			r.Containers = append(r.Containers, Swap{Container: c.Name, Current: c.Current.String(), Target: ch.target.String()})
		}
		if ch.why != "" {
			details = append(details, "container "+c.Name+": "+ch.why)
		}
		if ch.warning != "" {
			r.Warnings = append(r.Warnings, "container "+c.Name+": "+ch.warning)
		}
	}
	r.Detail = strings.Join(details, "; ")
	switch most {
	case change:
		r.Status = Success
	case undecided:
		r.Status, r.Reason = Skipped, ReasonImageNotFound
	case upToDate:
		r.Status, r.Reason = Skipped, ReasonUpToDate
	default:
		r.Status, r.Reason = Ignored, ReasonDoesNotUse
	}
	return r
}

func set(ids iter.Seq[string]) map[string]bool {
	s := map[string]bool{}
	for id := range ids {
		s[id] = true
	}
	return s
}
