package policy

import (
	"fmt"
	"slices"
)

// Select says which tag to move to, and of each tag the rule that took or
// refused it.
func (r Rules) Select(in Input) Selection {
	var s Selection
	candidates := make([]Candidate, 0, len(in.Tags))
	byTag := make(map[string]Tag, len(in.Tags))
	for _, t := range in.Tags {
		byTag[t.Tag] = t
		candidates = append(candidates, Candidate{Tag: t.Tag, Time: t.Created})
	}
	r.Policy.Sort(candidates)
	best := ""
	for _, c := range candidates {
		reason := r.refusal(byTag[c.Tag], in)
		if reason == "" && best == "" {
			best = c.Tag
		}
		s.Tags = append(s.Tags, Verdict{Tag: c.Tag, Accepted: reason == "", Reason: reason})
	}
	switch {
	case r.Err != nil:
		s.Error = r.Err.Error()
	case !in.Complete:
		s.Error = in.Incomplete
	case best == "" || best == in.Current.Tag:
	case !r.Downgrade && slices.ContainsFunc(in.Tags, func(t Tag) bool { return t.Tag == in.Current.Tag }) &&
		r.Policy.Compare(Candidate{Tag: best, Time: byTag[best].Created}, Candidate{Tag: in.Current.Tag, Time: byTag[in.Current.Tag].Created}) > 0:
	default:
		s.Selected, s.Digest = best, byTag[best].Digest
		s.NeedsDigest = r.NeedsDigest(in.Current) && s.Digest == ""
	}
	return s
}

// refusal says why the rules do not take t, "" if they do.
func (r Rules) refusal(t Tag, in Input) string {
	switch {
	case !r.Policy.Matches(t.Tag):
		return fmt.Sprintf("%s does not match", r.Policy)
	case t.Quarantined != "":
		return "quarantined: " + t.Quarantined
	case t.Suspect:
		return "the latest listing lacked it"
	case r.NeedsPlatforms() && !hasAll(t.Platforms, r.Platforms):
		return "it lacks a platform"
	case r.MinAge > 0 && (t.Created.IsZero() || t.Created.Add(r.MinAge).After(in.Now)):
		return "it is too young"
	}
	return ""
}
