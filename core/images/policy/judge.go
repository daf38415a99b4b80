package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// judged is a tag with what the rules say of it.
type judged struct {
	Tag
	ranked
	why     string // of the policy
	refused string // why it is not taken, "" if it is
	untimed bool   // only since its time is not known
	young   bool   // only since it is too young
	lost    bool   // only since the latest listing lacked it
	barred  bool   // it is in quarantine
}

func (j *judged) name() string { return j.Tag.Tag }

// judge holds the rules against each tag.
func (r Rules) judge(in Input) *decision {
	d := &decision{Rules: r, in: in, tags: make([]judged, len(in.Tags))}
	for i, t := range in.Tags {
		t.Created = plausible(t.Created)
		d.tags[i] = r.verdict(t, in.Now)
	}
	order := r.Policy.total()
	slices.SortFunc(d.tags, func(a, b judged) int { return order.compare(a.ranked, b.ranked) })
	d.runs = d.standing()
	return d
}

func (r Rules) verdict(t Tag, now time.Time) judged {
	v, ok := r.Policy.read(t.Tag)
	j := judged{Tag: t, ranked: ranked{Candidate{t.Tag, t.Created}, v}, why: r.Policy.explain(t.Tag, v, ok)}
	switch {
	case r.Err != nil:
		j.refused = "the pattern, or another rule, is not valid"
	case !ok:
		j.refused = j.why
	case t.Quarantined != "":
		j.barred = true
		j.refused = "quarantined: " + t.Quarantined
	default:
		j.facts(r, now)
	}
	return j
}

// facts judges what is known of the image.
func (j *judged) facts(r Rules, now time.Time) {
	missing := lacks(j.Platforms, r.Platforms)
	switch {
	case r.Policy.NeedsTimes() && r.Policy.order.timed && j.Created.IsZero():
		j.untimed, j.refused = true, "its time is not known, so it cannot be told whether it is newer"+because(j.Problem)
	case missing != "" && len(j.Platforms) == 0:
		j.refused = "its platforms are not known, and " + missing + " is wanted" + because(j.Problem)
	case missing != "":
		j.refused = fmt.Sprintf("it is not made for %s, only for %s", missing, strings.Join(j.Platforms, ", "))
	case r.MinAge > 0 && j.Created.IsZero():
		j.refused = "its time is not known, and it must be " + age(r.MinAge) + " old" + because(j.Problem)
	case r.MinAge > 0 && now.Sub(j.Created) < r.MinAge:
		j.young = true
		j.refused = fmt.Sprintf("it is %s old and must be %s: not before %s", age(now.Sub(j.Created)), age(r.MinAge), moment(j.Created.Add(r.MinAge)))
	case j.Suspect:
		j.lost, j.refused = true, "the latest listing lacked it: not until the next one has it again"
	}
}

func because(problem string) string {
	if problem == "" {
		return ""
	}
	return " (" + problem + ")"
}

// age is a duration as people say it.
func age(d time.Duration) string {
	const days = 24 * time.Hour
	text := ""
	if d < 0 {
		text, d = "-", -d
	}
	if d >= days {
		text += fmt.Sprintf("%dd", d/days)
		d %= days
	}
	if d = d.Truncate(time.Second); d > 0 || text == "" || text == "-" {
		text += short(d)
	}
	return text
}

// short leaves out what is zero at the end: 2h rather than 2h0m0s.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// plausible leaves out what builds write to say no time: 1970, and 1980, where
// ZIP files begin.
func plausible(t time.Time) time.Time {
	if t.Year() <= 1980 {
		return time.Time{}
	}
	return t
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// verdicts tells of each tag what took or refused it.
func (d *decision) verdicts(o outcome) []Verdict {
	all := make([]Verdict, len(d.tags))
	for i := range d.tags {
		t := &d.tags[i]
		all[i] = Verdict{Tag: t.name(), Accepted: t.refused == "", Reason: t.refused}
		if t.refused == "" {
			all[i].Reason = t.why + d.place(t, o)
		}
	}
	return all
}

// place says where a tag that the rules take stands.
func (d *decision) place(t *judged, o outcome) string {
	switch {
	case o.best == nil:
		return ""
	case t == o.taken:
		return "; selected: " + o.reason
	case t == o.best && o.err != "":
		return "; not selected: " + o.err
	case t == o.best && o.reason == d.stays(t):
		return "; it runs"
	case t == o.best:
		return "; not selected: " + o.reason
	case d.Policy.total().newer(o.best.ranked, t.ranked) == 0:
		return fmt.Sprintf("; as new as %s, whose name comes first", o.best.name())
	}
	return fmt.Sprintf("; %s is newer", o.best.name())
}
