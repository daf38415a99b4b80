package policy_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/images/ref"
)

// noon is when decisions are made; tags are older.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	shaA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	shaB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// tags reads "1.0@2h 1.1": names with the age of the image, none if it is not
// known. A "!" before a name makes it suspect.
func tags(t *testing.T, text string) []policy.Tag {
	t.Helper()
	var all []policy.Tag
	for _, field := range strings.Fields(text) {
		name, age, timed := strings.Cut(field, "@")
		name, suspect := strings.CutPrefix(name, "!")
		tag := policy.Tag{Tag: name, Suspect: suspect}
		if timed {
			d, err := policy.ParseAge(age)
			if err != nil {
				t.Fatal(err)
			}
			tag.Created = noon.Add(-d)
		}
		all = append(all, tag)
	}
	return all
}

func reference(t testing.TB, text string) ref.Ref {
	t.Helper()
	if text == "" {
		return ref.Ref{}
	}
	r, err := ref.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestSelect: what is selected, or in words why nothing is.
func TestSelect(t *testing.T) {
	for _, tt := range []struct {
		name, pattern, current, tags string
		change                       func(*policy.Rules, *policy.Input)
		want, reason, err            string
	}{
		// The rules of Flux v1.
		{name: "newest by time", pattern: "glob:*", current: "app:a", tags: "a@3h b@1h c@2h latest@0h", want: "b"},
		{name: "only what matches", pattern: "glob:a*", current: "app:a", tags: "a@3h b@1h ab@2h", want: "ab"},
		{name: "newest by version, whatever the time", pattern: "semver:*", current: "app:1.0", tags: "1.0@0h 1.2@9h 1.1@1h", want: "1.2"},
		{name: "the longer of equal versions", pattern: "semver:*", current: "app:1.10", tags: "1.10 1.10.0", want: "1.10.0"},
		{name: "up to date", pattern: "semver:*", current: "app:1.2", tags: "1.0 1.2", reason: "1.2 runs, and nothing newer is taken"},
		{name: "latest by its name", pattern: "latest", current: "app:1", tags: "latest 1", want: "latest"},
		{name: "latest by no regexp", pattern: "regexp:^latest$", tags: "latest@1h", reason: "the rules take none of the tags"},
		{name: "no tags", pattern: "*", current: "app:a", reason: "the registry has no tags"},
		{name: "no current", pattern: "semver:*", tags: "1.0 1.1", want: "1.1"},

		// Its hazards.
		{name: "a typing error releases nothing", pattern: "semver:>>1", current: "app:1.0", tags: "1.0 1.1 2.0", err: `pattern "semver:>>1": improper constraint`},
		{name: "nor does one in a regexp", pattern: "regexp:[", current: "app:1.0", tags: "1.0@2h 1.1@1h", err: "missing closing ]"},
		{name: "one bad tag stops nobody", pattern: "glob:*", current: "app:a", tags: "a@3h b@1h broken", want: "b"},
		{name: "no times at all", pattern: "glob:*", current: "app:a", tags: "a b", err: "no time is known of any image that matches (2 do)"},
		{name: "times that say nothing", pattern: "glob:*", current: "app:a", tags: "a@20000d b@20000d", err: "no time is known of any image"},
		{name: "what runs was deleted: by time", pattern: "glob:*", current: "app:gone", tags: "a@3h b@1h", want: "b"},
		{name: "what runs was deleted: and the name of what is left is lower", pattern: "glob:*", current: "app:b-9-x", tags: "b-7-x@3h b-8-x@1h",
			err: "the registry does not have b-9-x, which runs, its time is not known, and b-8-x looks older by its name"},
		{name: "what runs was deleted: or higher", pattern: "glob:*", current: "app:b-9-x", tags: "b-7-x@3h b-10-x@1h", want: "b-10-x"},
		{name: "what runs was deleted: by version", pattern: "semver:*", current: "app:1.5", tags: "1.4 1.6", want: "1.6"},
		{name: "what runs was deleted: and all that is left is older", pattern: "semver:*", current: "app:1.5", tags: "1.4",
			reason: "1.4 is older than 1.5, which runs, and moves backwards are not allowed"},
		{name: "untagged", pattern: "semver:*", current: "app", tags: "1.0 latest", want: "1.0"},
		{name: "untagged, by time, and the same image", pattern: "1.*", current: "app", tags: "1.0@1h latest@1h", want: "1.0"},
		{name: "by digest alone", pattern: "semver:*", current: "app@" + shaA, tags: "1.0",
			err: "what runs is named by its digest alone, and no tag is known to name it"},
		{name: "by a digest that a tag names", pattern: "semver:*", current: "app@" + shaA, tags: "1.0 1.1",
			change: func(_ *policy.Rules, in *policy.Input) { in.Tags[0].Digest = shaA }, want: "1.1"},

		// Backwards.
		{name: "no downgrade by time", pattern: "glob:a*", current: "app:ax", tags: "a1@3h ax@1h b@0h", reason: "ax runs, and nothing newer is taken"},
		{name: "no downgrade by a new constraint", pattern: "semver:~1", current: "app:2.0", tags: "1.9 2.0 2.1",
			reason: "1.9 is older than 2.0, which runs, and moves backwards are not allowed"},
		{name: "a downgrade that is allowed", pattern: "semver:~1", current: "app:2.0", tags: "1.9 2.0 2.1",
			change: func(r *policy.Rules, _ *policy.Input) { r.Downgrade = true }, want: "1.9"},
		{name: "no downgrade by number", pattern: "numeric:^b([0-9]+)$", current: "app:b10", tags: "b9 b8", reason: "b9 is older than b10, which runs"},
		{name: "no downgrade by date", pattern: "calver:YYYY.0M", current: "app:2026.02", tags: "2026.01", reason: "2026.01 is older than 2026.02"},
		{name: "desc: a higher number is older", pattern: "numeric,desc:^b([0-9]+)$", current: "app:b10", tags: "b11 b10", reason: "b10 runs"},
		{name: "desc: a lower number is newer", pattern: "numeric,desc:^b([0-9]+)$", current: "app:b10", tags: "b9 b10", want: "b9"},
		{name: "from what has no place in the order", pattern: "semver:*", current: "app:master-1f", tags: "1.0 master-1f", want: "1.0"},
		{name: "from what does not match, but is newer by time", pattern: "glob:prod-*", current: "app:dev-9", tags: "prod-1@2h dev-9@1h",
			reason: "prod-1 is older than dev-9, which runs"},
		{name: "from what does not match and has no time", pattern: "glob:prod-*", current: "app:dev-9", tags: "prod-1@2h dev-9", want: "prod-1"},
		{name: "from what has no time", pattern: "glob:*", current: "app:a", tags: "a b@1h",
			err: "the time of a, which runs, is not known: whether b is newer cannot be told"},
		{name: "the same time is not newer", pattern: "glob:*", current: "app:b", tags: "a@1h b@1h", reason: "b runs, and nothing newer is taken"},
		{name: "the same number is not newer", pattern: "numeric:([0-9]+)$", current: "app:b-7", tags: "a-7 b-7", reason: "b-7 runs"},
		{name: "unless its image is", pattern: "numeric,ties=newest:([0-9]+)$", current: "app:b-7", tags: "a-7@1h b-7@2h", want: "a-7"},
		{name: "which cannot be told", pattern: "numeric,ties=newest:([0-9]+)$", current: "app:b-7", tags: "a-7@1h b-7", reason: "b-7 runs"},
		{name: "neither of two", pattern: "numeric,ties=refuse:([0-9]+)$", current: "app:b-6", tags: "a-7 b-7 b-6",
			err: "a-7 and b-7 are equally new, and ties=refuse takes neither"},
		{name: "the pattern of one tag", pattern: "glob:1.0", current: "app:2.0", tags: "1.0 2.0", want: "1.0"},

		// Registries that lose tags.
		{name: "the newest is suspect", pattern: "semver:*", current: "app:1.0", tags: "1.0 1.1 !1.2", err: "the latest listing lacked 1.2, the newest tag"},
		{name: "what runs is suspect", pattern: "semver:*", current: "app:1.2", tags: "1.0 1.1 !1.2", reason: "1.2 runs"},
		{name: "others are suspect", pattern: "semver:*", current: "app:1.0", tags: "1.0 !1.1 1.2", want: "1.2"},
		{name: "what runs is unknown while others are suspect", pattern: "glob:*", current: "app:x", tags: "a@1h !b@2h",
			err: "the registry has lost x, which runs, and its time is not known"},
		{name: "what runs has vanished, and was newer", pattern: "glob:*", current: "app:x", tags: "a@2h",
			change: func(_ *policy.Rules, in *policy.Input) { in.Vanished = tags(t, "x@1h") }, reason: "a is older than x, which runs"},
		{name: "what runs has vanished, and was older", pattern: "glob:*", current: "app:x", tags: "a@2h",
			change: func(_ *policy.Rules, in *policy.Input) { in.Vanished = tags(t, "x@3h") }, want: "a"},
		{name: "what runs has vanished without a time", pattern: "glob:*", current: "app:x", tags: "a@2h",
			change: func(_ *policy.Rules, in *policy.Input) { in.Vanished = tags(t, "x") }, err: "the registry has lost x"},
		{name: "incomplete", pattern: "glob:*", current: "app:a", tags: "a@2h b@1h",
			change: func(_ *policy.Rules, in *policy.Input) {
				in.Complete, in.Incomplete = false, "the time of c is not known yet"
			}, err: "the time of c is not known yet"},

		// Other rules.
		{name: "quarantined", pattern: "semver:*", current: "app:1.0", tags: "1.0 1.1 1.2",
			change: func(_ *policy.Rules, in *policy.Input) { in.Tags[2].Quarantined = "its rollout failed" }, want: "1.1"},
		{name: "what runs is quarantined", pattern: "semver:*", current: "app:1.2", tags: "1.1 1.2",
			change: func(_ *policy.Rules, in *policy.Input) { in.Tags[1].Quarantined = "its rollout failed" }, reason: "1.1 is older than 1.2"},
		{name: "too young", pattern: "semver:*", current: "app:1.0", tags: "1.0@9d 1.1@2d 1.2@1h",
			change: func(r *policy.Rules, _ *policy.Input) { r.MinAge = 24 * time.Hour }, want: "1.1"},
		{name: "what runs is too young to go back", pattern: "semver:*", current: "app:1.2", tags: "1.0@9d 1.1@2d 1.2@1h",
			change: func(r *policy.Rules, _ *policy.Input) { r.MinAge, r.Downgrade = 24*time.Hour, true }, reason: "1.2, which runs, is only too young"},
		{name: "no age", pattern: "semver:*", current: "app:1.0", tags: "1.0 1.1",
			change: func(r *policy.Rules, _ *policy.Input) { r.MinAge = time.Hour }, reason: "the rules take none of the tags"},
		{name: "platforms", pattern: "semver:*", current: "app:1.0", tags: "1.0 1.1 1.2 1.3",
			change: func(r *policy.Rules, in *policy.Input) {
				r.Platforms = []string{"linux/amd64", "linux/arm"}
				in.Tags[1].Platforms = []string{"linux/amd64", "linux/arm/v7"}
				in.Tags[2].Platforms = []string{"linux/amd64", "linux/arm64/v8"}
			}, want: "1.1"},
		{name: "no policy", tags: "1.0", change: func(r *policy.Rules, _ *policy.Input) { *r = policy.Rules{} }, reason: "there is no policy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var rules policy.Rules
			rules.Policy, rules.Err = policy.Parse(tt.pattern)
			in := policy.Input{Current: reference(t, tt.current), Tags: tags(t, tt.tags), Complete: true, Now: noon}
			if tt.change != nil {
				tt.change(&rules, &in)
			}
			s := rules.Select(in)
			if s.Selected != tt.want || !strings.Contains(s.Error, tt.err) || (s.Error != "") != (tt.err != "") || !strings.Contains(s.Reason, tt.reason) {
				t.Errorf("selected %q (%s), error %q; want %q (%s), error %q", s.Selected, s.Reason, s.Error, tt.want, tt.reason, tt.err)
			}
			if len(s.Tags) != len(in.Tags) || s.Reason == "" {
				t.Errorf("%d verdicts on %d tags; reason %q", len(s.Tags), len(in.Tags), s.Reason)
			}
			for _, v := range s.Tags {
				if v.Reason == "" || v.Tag == s.Selected && !v.Accepted {
					t.Errorf("verdict %+v", v)
				}
			}
		})
	}
}

// TestVerdicts: each tag has the rule that took or refused it.
func TestVerdicts(t *testing.T) {
	rules := policy.Rules{Policy: parse(t, "semver:>=1.0"), MinAge: time.Hour, Platforms: []string{"linux/amd64"}}
	in := policy.Input{Current: reference(t, "app:1.0"), Complete: true, Now: noon,
		Tags: tags(t, "0.9@2d 1.0@2d 1.1@2d 1.2@2d 1.3@1m !1.4@2d 1.5@2d 1.6@2d 1.7 x latest 2.0-rc1")}
	for i := range in.Tags {
		in.Tags[i].Platforms = []string{"linux/amd64"}
	}
	in.Tags[3].Quarantined = "its rollout failed"
	in.Tags[6].Platforms = []string{"windows/amd64"}
	in.Tags[7].Platforms, in.Tags[7].Problem = nil, "manifest unknown"
	want := []policy.Verdict{
		{"2.0-rc1", false, "2.0-rc1 is a pre-release, which semver:>=1.0 does not take"},
		{"1.7", false, "its time is not known, and it must be 1h old"},
		{"1.6", false, "its platforms are not known, and linux/amd64 is wanted (manifest unknown)"},
		{"1.5", false, "it is not made for linux/amd64, only for windows/amd64"},
		{"1.4", false, "the latest listing lacked it: not until the next one has it again"},
		{"1.3", false, "it is 1m old and must be 1h: not before 2026-03-01T12:59:00Z"},
		{"1.2", false, "quarantined: its rollout failed"},
		{"1.1", true, "1.1 is in semver:>=1.0; 1.4 is newer"},
		{"1.0", true, "1.0 is in semver:>=1.0; 1.4 is newer"},
		{"0.9", false, "0.9 is not in semver:>=1.0"},
		{"latest", false, "a tag that moves is no release: only the pattern glob:latest takes latest"},
		{"x", false, "x is no version"},
	}
	s := rules.Select(in)
	if diff := cmp.Diff(want, s.Tags); diff != "" {
		t.Error(diff)
	}
	if s.Quarantined != nil {
		t.Errorf("%q are in quarantine and would not be taken", s.Quarantined)
	}
	in.Tags[5].Suspect = false
	s = rules.Select(in)
	if s.Selected != "1.4" || s.Tags[4].Reason != "1.4 is in semver:>=1.0; selected: it is newer than 1.0, which runs" {
		t.Errorf("%+v", s)
	}
	rules.Err = errors.New("annotation x: wrong")
	if s := rules.Select(in); s.Selected != "" || s.Error != "annotation x: wrong" || s.Tags[4].Accepted {
		t.Errorf("%+v", s)
	}
}

// TestQuarantined: what is better than the outcome, and in quarantine.
func TestQuarantined(t *testing.T) {
	rules := policy.Rules{Policy: parse(t, "semver:^1")}
	in := policy.Input{Current: reference(t, "app:1.1.0"), Complete: true, Now: noon, Tags: tags(t, "1.0.0 1.1.0 1.2.0 1.3.0 1.4.0 2.0.0")}
	for _, i := range []int{0, 3, 4, 5} { // 2.0.0 is not in the policy, 1.0.0 no better
		in.Tags[i].Quarantined = "its rollout failed"
	}
	s := rules.Select(in)
	if diff := cmp.Diff([]string{"1.4.0", "1.3.0"}, s.Quarantined); diff != "" || s.Selected != "1.2.0" {
		t.Errorf("%s\n%s", s.Selected, diff)
	}
	in.Tags[2].Quarantined = "its rollout failed"
	s = rules.Select(in)
	if diff := cmp.Diff([]string{"1.4.0", "1.3.0", "1.2.0"}, s.Quarantined); diff != "" || s.Selected != "" {
		t.Errorf("%s\n%s", s.Selected, diff)
	}
	if got := s.Tags[slices.IndexFunc(s.Tags, func(v policy.Verdict) bool { return v.Tag == "1.1.0" })].Reason; got != "1.1.0 is in semver:^1; it runs" {
		t.Error(got)
	}
}

// TestNotBefore: when a better tag is old enough.
func TestNotBefore(t *testing.T) {
	rules := policy.Rules{Policy: parse(t, "semver:*"), MinAge: 24 * time.Hour}
	in := policy.Input{Current: reference(t, "app:1.1"), Complete: true, Now: noon, Tags: tags(t, "1.0@1h 1.1@9d 1.2@9d 1.3@2h 1.4@20h 1.5@1h")}
	if s := rules.Select(in); s.Selected != "1.2" || !s.NotBefore.Equal(noon.Add(4*time.Hour)) {
		t.Errorf("%s, then at %s", s.Selected, s.NotBefore)
	}
	in.Now = noon.Add(4 * time.Hour)
	if s := rules.Select(in); s.Selected != "1.4" || !s.NotBefore.Equal(noon.Add(23*time.Hour)) {
		t.Errorf("%s, then at %s", s.Selected, s.NotBefore)
	}
	in.Now = noon.Add(48 * time.Hour)
	if s := rules.Select(in); s.Selected != "1.5" || !s.NotBefore.IsZero() {
		t.Errorf("%s, then at %s", s.Selected, s.NotBefore)
	}
}

// TestDigests: what is written in the end.
func TestDigests(t *testing.T) {
	for _, tt := range []struct {
		mode             policy.DigestMode
		pattern, current string
		digests          string // of 1.0 and 1.1
		want             string // "" if nothing changes
		unknown          bool   // the digest must be asked for
	}{
		{"", "semver:*", "docker.io/app:1.0", shaA + " " + shaB, "docker.io/app:1.1", false},
		{"", "semver:*", "app:1.0@" + shaA, shaA + " " + shaB, "app:1.1@" + shaB, false},
		{"keep", "semver:*", "app:1.0@" + shaA, shaA + " -", "", true},
		{"keep", "semver:*", "app:1.1@" + shaA, shaA + " " + shaB, "app:1.1@" + shaB, false},
		{"keep", "semver:*", "app:1.1@" + shaB, shaA + " " + shaB, "", false},
		{"keep", "semver:*", "app:1.1@" + shaB, shaA + " -", "", false},
		{"keep", "semver:*", "app@" + shaA, shaA + " " + shaB, "app:1.1@" + shaB, false},
		{"pin", "semver:*", "app:1.0", shaA + " " + shaB, "app:1.1@" + shaB, false},
		{"pin", "semver:*", "app:1.1", shaA + " " + shaB, "app:1.1@" + shaB, false},
		{"pin", "semver:*", "app:1.1", "- -", "", true},
		{"pin", "semver:*", "app:1.1@" + shaB, shaA + " " + shaB, "", false},
		{"drop", "semver:*", "app:1.0@" + shaA, shaA + " " + shaB, "app:1.1", false},
		{"drop", "semver:*", "app:1.1@" + shaB, shaA + " " + shaB, "app:1.1", false},
		{"drop", "semver:*", "app:1.1", shaA + " " + shaB, "", false},
		{"keep", "semver:~1.0", "app:1.1@" + shaA, shaA + " " + shaB, "", false}, // it does not match
		{"keep", "glob:*", "app:1.1@" + shaA, shaA + " " + shaB, "app:1.1@" + shaB, false},
	} {
		rules := policy.Rules{Policy: parse(t, tt.pattern), Digest: tt.mode}
		in := policy.Input{Current: reference(t, tt.current), Complete: true, Now: noon, Tags: tags(t, "1.0@3h 1.1@2h")}
		in.Running = policy.Tag{Created: noon.Add(-4 * time.Hour)}
		for i, d := range strings.Fields(tt.digests) {
			in.Tags[i].Digest = strings.TrimPrefix(d, "-")
		}
		s := rules.Select(in)
		got := rules.Target(in.Current, s).String()
		if got == tt.current {
			got = ""
		}
		if got != tt.want || s.NeedsDigest != tt.unknown || (s.Selected == "") != (tt.want == "" && !tt.unknown) {
			t.Errorf("%s %s of %s: %s (%+v), want %s", tt.mode, tt.pattern, tt.current, got, s, tt.want)
		}
	}
	// A tag that was moved back to an older image.
	rules := policy.Rules{Policy: parse(t, "glob:*")}
	in := policy.Input{Current: reference(t, "app:1.1@"+shaA), Complete: true, Now: noon, Tags: tags(t, "1.1@2h"), Running: policy.Tag{Created: noon.Add(-time.Hour)}}
	in.Tags[0].Digest = shaB
	if s := rules.Select(in); s.Selected != "" || !strings.Contains(s.Reason, "names an older image") {
		t.Errorf("%+v", s)
	}
}

func TestRefine(t *testing.T) {
	base := policy.Rules{Policy: parse(t, "semver:~1"), Source: "image_policy.web (sluice.hcl:12)", MinAge: time.Hour, Platforms: []string{"linux/arm"}}
	for _, tt := range []struct {
		name        string
		annotations map[string]string
		want        string
	}{
		{"nothing", nil, "semver:~1 of image_policy.web (sluice.hcl:12): 1h0m0s [linux/arm] false "},
		{"all", map[string]string{"sluice.dev/min_age": "3d", "fluxcd.io/platforms": "linux/amd64, linux/arm64", "flux.weave.works/allow_downgrade": "true", "sluice.dev/digest": "pin"},
			"semver:~1 of image_policy.web (sluice.hcl:12): 72h0m0s [linux/amd64 linux/arm64] true pin"},
		{"of the container", map[string]string{"sluice.dev/min_age": "3d", "fluxcd.io/min_age.web": "90m", "sluice.dev/min_age.db": "1h", "fluxcd.io/tag.web": "glob:v*"},
			"glob:v* of annotation fluxcd.io/tag.web: 1h30m0s [linux/arm] false "},
		{"first prefix", map[string]string{"fluxcd.io/digest.web": "drop", "sluice.dev/digest.web": "keep"},
			"semver:~1 of image_policy.web (sluice.hcl:12): 1h0m0s [linux/arm] false keep"},
		{"bad pattern", map[string]string{"filter.fluxcd.io/web": "semver:>>"}, "annotation filter.fluxcd.io/web: pattern"},
		{"bad age", map[string]string{"sluice.dev/min_age.web": "soon"}, `annotation sluice.dev/min_age.web: "soon" is no age: write 90m, 36h or 3d`},
		{"bad platform", map[string]string{"sluice.dev/platforms": "amd64"}, `annotation sluice.dev/platforms: "amd64" is no platform`},
		{"bad flag", map[string]string{"sluice.dev/allow_downgrade": "yes"}, `annotation sluice.dev/allow_downgrade: "yes": write "true" or "false", with quotes`},
		{"bad mode", map[string]string{"sluice.dev/digest": "always"}, `annotation sluice.dev/digest: "always": write keep, pin or drop`},
		{"of another container", map[string]string{"sluice.dev/digest.db": "always"}, "semver:~1 of"},
	} {
		r := policy.Of(tt.annotations).Refine("web", base)
		got := fmt.Sprintf("%s of %s: %s %s %v %s", r, r.Source, r.MinAge, r.Platforms, r.Downgrade, r.Digest)
		if r.Err != nil {
			got = r.Err.Error()
		}
		if !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	if r := policy.Of(nil).Rules("web"); r.Source != "default" || r.String() != policy.Default || r.Err != nil {
		t.Errorf("without annotations: %+v", r)
	}
	w := policy.Of(map[string]string{"sluice.dev/min-age": "3d", "sluice.dev/digset": "pin", "sluice.dev/digest.web": "pin"})
	want := []string{`annotation "sluice.dev/digset" has no effect: write "sluice.dev/digest"`, `annotation "sluice.dev/min-age" has no effect: write "sluice.dev/min_age"`}
	if diff := cmp.Diff(want, w.Warnings); diff != "" {
		t.Error(diff)
	}
	for text, want := range map[string]string{"0": "0s", "0d": "0s", "1d": "24h0m0s", "2d12h": "60h0m0s", "1.5h": "1h30m0s", "-1h": "", "": "", "d": "", "1d-1h": "", "99999d": "", "1w": "", "3": ""} {
		d, err := policy.ParseAge(text)
		if (err != nil) != (want == "") || err == nil && d.String() != want {
			t.Errorf("age %q: %v, %v", text, d, err)
		}
	}
}
