package policy_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/images/ref"
)

// patterns are one of each kind and option.
var patterns = []string{
	"glob:*", "glob:1.*", "regexp:^[0-9]", "semver:*", "semver:>=0-0", "semver:~1", "semver,ties=names:*", "semver,desc:*",
	"numeric:([0-9]+)$", "numeric,desc:([0-9]+)$", "numeric,ties=newest:([0-9]+)$", "numeric,ties=longest:^([0-9]+)", "numeric,ties=refuse:([0-9]+)$",
	"calver:YYYY.0M[-MICRO]", "calver,ties=newest:*YYYY*", "glob:1.0.0",
}

// someTags returns tags that are equal in many ways.
func someTags(r *rand.Rand, n int) []policy.Tag {
	names := map[string]bool{}
	var all []policy.Tag
	for len(all) < n {
		name := [...]string{
			fmt.Sprintf("%d.%d.%d", r.IntN(3), r.IntN(3), r.IntN(3)), fmt.Sprintf("v%d.%d", r.IntN(3), r.IntN(9)),
			fmt.Sprintf("1.%d-rc%d", r.IntN(9), r.IntN(3)), fmt.Sprintf("b%c-%02d", 'a'+r.IntN(9), r.IntN(9)),
			fmt.Sprintf("202%d.0%d-%d", r.IntN(3), 1+r.IntN(3), r.IntN(3)), fmt.Sprintf("202%d.0%d", r.IntN(9), 1+r.IntN(9)), "latest",
		}[r.IntN(7)]
		if names[name] && n < 60 {
			continue
		}
		if names[name] {
			name = fmt.Sprintf("%s-%d", name, len(all))
		}
		names[name] = true
		tag := policy.Tag{Tag: name}
		if r.IntN(4) > 0 {
			tag.Created = noon.Add(-time.Duration(r.IntN(20)) * time.Hour)
		}
		all = append(all, tag)
	}
	return all
}

func candidate(t policy.Tag) policy.Candidate { return policy.Candidate{Tag: t.Tag, Time: t.Created} }

// TestOrderIsTotal: of any two tags one is first, and three agree.
func TestOrderIsTotal(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, pattern := range patterns {
		p := parse(t, pattern)
		tags := someTags(r, 20)
		for _, a := range tags {
			for _, b := range tags {
				x, y := candidate(a), candidate(b)
				if got := p.Compare(x, y); got != -p.Compare(y, x) || (got == 0) != (a.Tag == b.Tag) {
					t.Fatalf("%s: %v and %v: %d and %d", pattern, x, y, got, p.Compare(y, x))
				}
				for _, c := range tags {
					if z := candidate(c); p.Compare(x, y) < 0 && p.Compare(y, z) < 0 && p.Compare(x, z) >= 0 {
						t.Fatalf("%s: %v, %v, %v are not in order", pattern, x, y, z)
					}
				}
			}
		}
	}
}

// TestSelectProperties: of any tags, what is selected does not depend on their
// order, is among them, is taken, is never older than what runs, leaves nothing
// to do once it runs, and stays when the registry loses half of its tags.
func TestSelectProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	moved := 0
	for i := range 2000 {
		rules := policy.Rules{Policy: parse(t, patterns[i%len(patterns)])}
		in := policy.Input{Tags: someTags(r, 2+r.IntN(20)), Complete: true, Now: noon}
		running := in.Tags[r.IntN(len(in.Tags))]
		in.Current = ref.Ref{Repository: "app", Tag: running.Tag}
		s := rules.Select(in)

		shuffled := in
		shuffled.Tags = slices.Clone(in.Tags)
		r.Shuffle(len(in.Tags), func(i, j int) { shuffled.Tags[i], shuffled.Tags[j] = shuffled.Tags[j], shuffled.Tags[i] })
		if diff := cmp.Diff(s, rules.Select(shuffled)); diff != "" {
			t.Fatalf("%s: the order of tags matters:\n%s", rules, diff)
		}
		if s.Selected != "" {
			moved++
			checkMove(t, rules, in, running, s)
		}
		checkLoss(t, r, rules, in, s)
	}
	if moved < 200 {
		t.Errorf("only %d of the cases moved: they say little", moved)
	}
}

func checkMove(t *testing.T, rules policy.Rules, in policy.Input, running policy.Tag, s policy.Selection) {
	t.Helper()
	i := slices.IndexFunc(in.Tags, func(t policy.Tag) bool { return t.Tag == s.Selected })
	if i < 0 || !rules.Policy.Matches(s.Selected) || s.Error != "" {
		t.Fatalf("%s takes %s, which is not there, or is not taken: %+v", rules, s.Selected, s)
	}
	next := in.Tags[i]
	known := !running.Created.IsZero() || !rules.Policy.NeedsTimes()
	if rules.Policy.Matches(running.Tag) && known && rules.Policy.Compare(candidate(next), candidate(running)) >= 0 {
		t.Fatalf("%s moves back from %v to %v: %s", rules, running, next, s.Reason)
	}
	in.Current.Tag = s.Selected
	if again := rules.Select(in); again.Selected != "" {
		t.Fatalf("%s moves from %v to %v, and on to %s", rules, running, next, again.Selected)
	}
}

// checkLoss: half the tags are lost, at first in doubt, then for certain. Whatever
// would run by then stays, or moves to what was selected before.
func checkLoss(t *testing.T, r *rand.Rand, rules policy.Rules, in policy.Input, s policy.Selection) {
	t.Helper()
	if s.Error != "" {
		return // it is stuck before
	}
	if s.Selected != "" {
		in.Current.Tag = s.Selected
	}
	doubted, certain := in, in
	doubted.Tags, certain.Tags = slices.Clone(in.Tags), nil
	for i, tag := range in.Tags {
		if r.IntN(2) == 0 {
			doubted.Tags[i].Suspect = true
			certain.Vanished = append(certain.Vanished, tag)
		} else {
			certain.Tags = append(certain.Tags, tag)
		}
	}
	for _, lost := range []policy.Input{doubted, certain} {
		if after := rules.Select(lost); after.Selected != "" && !strings.HasPrefix(rules.String(), "glob:1.0.0") && rules.Policy.Matches(in.Current.Tag) {
			t.Fatalf("%s: %s moves to %s because tags are gone: %s", rules, in.Current.Tag, after.Selected, after.Reason)
		}
	}
}

// BenchmarkSelect: 10,000 tags, each with its verdict.
func BenchmarkSelect(b *testing.B) {
	r := rand.New(rand.NewPCG(3, 3))
	in := policy.Input{Current: ref.Ref{Repository: "app", Tag: "0.0.0"}, Tags: someTags(r, 10_000), Complete: true, Now: noon}
	for _, pattern := range []string{"glob:*", "semver:*", "numeric:([0-9]+)$", "calver:YYYY.0M[-*]"} {
		b.Run(strings.Trim(strings.SplitN(pattern, ":", 2)[0], ":"), func(b *testing.B) {
			rules := policy.Rules{Policy: parse(b, pattern)}
			b.ReportAllocs()
			for b.Loop() {
				rules.Select(in)
			}
		})
	}
}
