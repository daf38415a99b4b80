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

func parse(t testing.TB, pattern string) policy.Policy {
	t.Helper()
	p, err := policy.Parse(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMatches(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		yes, no []string
	}{
		{"*", []string{"1", "v1.0.0-rc1", "master-abc"}, []string{"latest", "LATEST", "Latest"}},
		{"glob:*", []string{"1", "latest-1"}, []string{"latest"}},
		{"glob:latest", []string{"latest"}, []string{"Latest", "latest-1", "1"}},
		{"latest", []string{"latest"}, []string{"LATEST", "1"}},
		{"Latest", nil, []string{"latest", "Latest"}},
		{"glob:la*", []string{"lab"}, []string{"latest"}},
		{"master-*", []string{"master-", "master-a.b"}, []string{"xmaster-a", "master"}},
		{"1.2.3", []string{"1.2.3"}, []string{"1.2.30", "1x2.3"}},
		{"glob:*-*-amd64", []string{"1-2-amd64", "--amd64"}, []string{"1-amd64"}},
		{"semver:*", []string{"1", "v1", "1.2", "1.2.3"}, []string{"1.2.3-rc1", "master", "latest", "", "1.2.3.4", "01.2.3x"}},
		{"semver:~1.2", []string{"1.2.0", "v1.2.9", "1.2"}, []string{"1.3.0", "1.2.1-rc1"}},
		{"semver:^1.2.0-0", []string{"1.2.0-rc1", "1.9.9"}, []string{"2.0.0"}},
		{"semver:>=1.0, <2.0 || 3.x", []string{"1.5.0", "3.1.4"}, []string{"2.0.0", "0.9.0"}},
		{"semver:1.*", []string{"1.9"}, []string{"2", "99999999999999999999.0.0"}},
		{"regexp:^v[0-9]+$", []string{"v1"}, []string{"xv1", "v1.2"}},
		{"regexp:[0-9]", []string{"a1b", "1"}, []string{"ab"}},
		{"regex:a|b", []string{"xax"}, []string{"c"}},
		{"regexp:^latest$", nil, []string{"latest"}},
		{"regexp:(?i)RC:?", []string{"1-rc"}, []string{"1"}},
	} {
		p := parse(t, tt.pattern)
		if p.String() != tt.pattern {
			t.Errorf("%s prints %s", tt.pattern, p)
		}
		for _, tag := range tt.yes {
			if !p.Matches(tag) {
				t.Errorf("%s does not match %q", tt.pattern, tag)
			}
		}
		for _, tag := range tt.no {
			if p.Matches(tag) {
				t.Errorf("%s matches %q", tt.pattern, tag)
			}
		}
	}
}

func TestParseErrors(t *testing.T) {
	for pattern, want := range map[string]string{
		"":                        `pattern "": empty: write glob:* to take every tag`,
		"glob:":                   `empty: write glob:*`,
		"semver:":                 `empty: write glob:*`,
		"regexp:":                 `empty: write glob:*`,
		"semver:not a version":    `pattern "semver:not a version": `,
		"semver:>>1":              `pattern "semver:>>1": `,
		"regexp:[":                `missing closing ]`,
		"regexp:(?!x)":            `invalid or unsupported Perl syntax`,
		"regexp:(a{1000}){1000}":  `invalid repeat count`,
		"alphabetical:asc":        `unknown kind "alphabetical:": there are glob:, semver:, regexp:, regex:, numeric:, calver:, and a glob needs none`,
		"numeric:asc":             `write numeric,asc:RE`,
		"Semver:1":                `unknown kind "Semver:"`,
		"semver :1":               `unknown kind "semver :"`,
		":x":                      `unknown kind ":"`,
		"glob:v1.?":               `no tag has the character '?': in a glob only * is special`,
		"[0-9]*":                  `no tag has the character '['`,
		"a/b":                     `no tag has the character '/'`,
		"glob:a:b":                `no tag has the character ':'`,
		"glob:ü":                  `no tag has the character 'ü'`,
		strings.Repeat("x", 1025): `longer than 1024 bytes`,

		"regexp:" + strings.Repeat(".{0,1000}", 100) + "Z$": `repetitions`,
		"regexp:(((a{5}){5}){5}){5}|x(bcd){1000}":           `repetitions`,
	} {
		p, err := policy.Parse(pattern)
		if err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 500 {
			t.Errorf("Parse(%q): %v, want %s", pattern, err, want)
		}
		for _, tag := range []string{"1.0.0", "latest", "", "x"} {
			if p.Matches(tag) || p.NeedsTimes() {
				t.Errorf("%q is not valid, but takes %q", pattern, tag)
			}
		}
	}
}

func TestNeedsTimes(t *testing.T) {
	for pattern, want := range map[string]bool{
		"*": true, "glob:a*": true, "regexp:a": true, "regex:a": true,
		"semver:*": false, "glob:1.0": false, "latest": false,
	} {
		if got := parse(t, pattern).NeedsTimes(); got != want {
			t.Errorf("NeedsTimes of %s is %v", pattern, got)
		}
	}
}

func TestOrder(t *testing.T) {
	at := func(hour int) time.Time { return time.Date(2026, 1, 1, hour, 0, 0, 0, time.UTC) }
	zone := time.FixedZone("", 3600)
	for _, tt := range []struct {
		pattern string
		want    []policy.Candidate // newest first
	}{
		{"*", []policy.Candidate{
			{Tag: "b", Time: at(3)}, {Tag: "a", Time: at(2)}, {Tag: "c", Time: at(2).In(zone)}, {Tag: "z", Time: at(1)}, {Tag: "a0"}, {Tag: "b0"},
		}},
		{"regexp:.", []policy.Candidate{{Tag: "1.0", Time: at(2)}, {Tag: "2.0", Time: at(1)}}},
		{"semver:*", []policy.Candidate{
			{Tag: "v2", Time: at(1)}, {Tag: "v1.10.0"}, {Tag: "1.10.0"}, {Tag: "1.10", Time: at(9)}, {Tag: "1.9.0", Time: at(8)},
			{Tag: "1.9.0-rc10"}, {Tag: "1.9.0-rc1"}, {Tag: "0.1", Time: at(7)}, {Tag: "a", Time: at(1)}, {Tag: "b", Time: at(5)},
		}},
	} {
		p := parse(t, tt.pattern)
		for seed := range uint64(20) {
			got := slices.Clone(tt.want)
			rand.New(rand.NewPCG(seed, 1)).Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
			p.Sort(got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Fatalf("%s:\n%s", tt.pattern, diff)
			}
		}
		for i, a := range tt.want {
			for j, b := range tt.want {
				if got := p.Compare(a, b); got < 0 != (i < j) || got > 0 != (i > j) {
					t.Errorf("%s: Compare(%v, %v) = %d", tt.pattern, a, b, got)
				}
			}
		}
	}
}

func TestOf(t *testing.T) {
	type patterns map[string]string
	for name, tt := range map[string]struct {
		in       map[string]string
		want     policy.Workload // but for the patterns
		patterns patterns
	}{
		"nothing": {},
		"ours": {
			in:       map[string]string{"sluice.dev/automated": "true", "sluice.dev/locked": "true", "sluice.dev/ignore": "true", "sluice.dev/tag.app": "semver:1"},
			want:     policy.Workload{Automated: true, Locked: true, Ignored: true},
			patterns: patterns{"app": "semver:1"},
		},
		"Flux v1": {
			in:       map[string]string{"fluxcd.io/automated": "true", "fluxcd.io/tag.a": "glob:1", "filter.fluxcd.io/b": "glob:2", "fluxcd.io/tag.c.d": "3"},
			want:     policy.Workload{Automated: true},
			patterns: patterns{"a": "glob:1", "b": "glob:2", "c.d": "3"},
		},
		"older": {
			in: map[string]string{"flux.weave.works/locked": "true", "flux.weave.works/locked_user": "Ann <a@b>", "flux.weave.works/locked_msg": "broken",
				"flux.weave.works/tag.a": ""},
			want:     policy.Workload{Locked: true, LockedBy: "Ann <a@b>", LockedReason: "broken"},
			patterns: patterns{"a": ""},
		},
		"off": {in: map[string]string{"fluxcd.io/automated": "false", "fluxcd.io/locked": "", "fluxcd.io/ignore": "sync_only"}},
		"only true counts": {
			in: map[string]string{"fluxcd.io/automated": "True", "sluice.dev/locked": "yes", "flux.weave.works/ignore": "1"},
			want: policy.Workload{Warnings: []string{
				`annotation "flux.weave.works/ignore": "1" has no effect: write "true", with quotes`,
				`annotation "fluxcd.io/automated": "True" has no effect: write "true", with quotes`,
				`annotation "sluice.dev/locked": "yes" has no effect: write "true", with quotes`,
			}},
		},
		"near misses": {
			in: map[string]string{"fluxcd.io/ignored": "true", "sluice.dev/Automated": "true", "sluice.dev/lock": "true", "fluxcd.io/automatd": "true", "fluxcd.io/sync-checksum": "x", "other.io/ignored": "true"},
			want: policy.Workload{Warnings: []string{
				`annotation "fluxcd.io/automatd" has no effect: write "fluxcd.io/automated"`,
				`annotation "fluxcd.io/ignored" has no effect: write "fluxcd.io/ignore"`,
				`annotation "sluice.dev/Automated" has no effect: write "sluice.dev/automated"`,
				`annotation "sluice.dev/lock" has no effect: write "sluice.dev/locked"`,
			}},
		},
		"first prefix counts": {
			in: map[string]string{
				"sluice.dev/automated": "false", "fluxcd.io/automated": "true",
				"flux.weave.works/tag.a": "1", "filter.fluxcd.io/a": "2", "fluxcd.io/tag.a": "3",
				"filter.fluxcd.io/b": "2", "flux.weave.works/tag.b": "2",
			},
			want: policy.Workload{Warnings: []string{
				`annotation "filter.fluxcd.io/a": "2" has no effect: "fluxcd.io/tag.a" says "3"`,
				`annotation "flux.weave.works/tag.a": "1" has no effect: "fluxcd.io/tag.a" says "3"`,
				`annotation "fluxcd.io/automated": "true" has no effect: "sluice.dev/automated" says "false"`,
			}},
			patterns: patterns{"a": "3", "b": "2"},
		},
		"no container": {
			in:   map[string]string{"filter.fluxcd.io/": "1"},
			want: policy.Workload{Warnings: []string{`annotation "filter.fluxcd.io/" has no effect: it names no container`}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := policy.Of(tt.in)
			found := patterns{}
			for _, container := range got.Containers() {
				pattern, ok := got.Pattern(container)
				if !ok || tt.in[got.PatternKey(container)] != pattern {
					t.Errorf("pattern of %s: %s, %v, from %s", container, pattern, ok, got.PatternKey(container))
				}
				found[container] = pattern
			}
			if len(tt.patterns)+len(found) > 0 {
				if diff := cmp.Diff(tt.patterns, found); diff != "" {
					t.Error(diff)
				}
			}
			visible := policy.Workload{Automated: got.Automated, Locked: got.Locked, Ignored: got.Ignored,
				LockedBy: got.LockedBy, LockedReason: got.LockedReason, Warnings: got.Warnings}
			if diff := cmp.Diff(tt.want, visible, cmp.AllowUnexported(policy.Workload{})); diff != "" {
				t.Error(diff)
			}
		})
	}
	if pattern, ok := policy.Of(nil).Pattern("x"); ok || pattern != "" {
		t.Errorf("a pattern from nowhere: %q", pattern)
	}
}

// FuzzPolicy: no pattern and no tags bring it down, one that is not valid takes
// nothing, and the order is total.
func FuzzPolicy(f *testing.F) {
	for _, p := range append(patterns, "*", "glob:a*b", "semver:>=1.0-0 from (.*)-x", "regexp:^a", "numeric:x", "latest") {
		f.Add(p, "1.0", "v1.0.0", "latest", int64(5), int64(0))
	}
	f.Fuzz(func(t *testing.T, pattern, a, b, c string, timeA, timeB int64) {
		p, err := policy.Parse(pattern)
		tags := []policy.Candidate{{Tag: a, Time: time.Unix(timeA, 0)}, {Tag: b, Time: time.Unix(timeB, 0)}, {Tag: c}, {Tag: a}}
		for _, x := range tags {
			if p.Matches(x.Tag) && (err != nil || strings.EqualFold(x.Tag, "latest") && !slices.Contains([]string{"latest", "glob:latest"}, pattern)) {
				t.Errorf("%q (%v) takes %q", pattern, err, x.Tag)
			}
			for _, y := range tags {
				if p.Compare(x, y) != -p.Compare(y, x) {
					t.Errorf("%q: %v and %v: %d and %d", pattern, x, y, p.Compare(x, y), p.Compare(y, x))
				}
				for _, z := range tags {
					if p.Compare(x, y) <= 0 && p.Compare(y, z) <= 0 && p.Compare(x, z) > 0 {
						t.Errorf("%q: %v, %v, %v are not in order", pattern, x, y, z)
					}
				}
			}
		}
		checkSelect(t, p, err, tags[:3])
		sorted := slices.Clone(tags)
		p.Sort(sorted)
		if !slices.IsSortedFunc(sorted, p.Compare) {
			t.Errorf("%q: Sort and Compare disagree: %v", pattern, sorted)
		}
	})
}

// checkSelect: whatever the pattern, what is selected is taken by it and is not
// what runs.
func checkSelect(t *testing.T, p policy.Policy, invalid error, candidates []policy.Candidate) {
	rules := policy.Rules{Policy: p, Err: invalid}
	in := policy.Input{Complete: true, Now: noon, Current: ref.Ref{Repository: "app", Tag: candidates[0].Tag}}
	for i, c := range candidates {
		if !slices.ContainsFunc(candidates[:i], func(o policy.Candidate) bool { return o.Tag == c.Tag }) {
			in.Tags = append(in.Tags, policy.Tag{Tag: c.Tag, Created: c.Time})
		}
	}
	s := rules.Select(in)
	if invalid != nil && (s.Selected != "" || s.Error == "") || s.Selected != "" && (s.Selected == in.Current.Tag || !p.Matches(s.Selected)) {
		t.Errorf("%q (%v) selects %+v of %v", p, invalid, s, in.Tags)
	}
}

func BenchmarkSort(b *testing.B) {
	p := parse(b, "semver:*")
	tags := make([]policy.Candidate, 10_000)
	for i := range tags {
		tags[i].Tag = "v1." + strings.Repeat("1", i%5+1) + "." + time.Duration(i).String()[:1]
	}
	for b.Loop() {
		p.Sort(slices.Clone(tags))
	}
}

// A workload may have as many annotations as fit in 256 KiB.
func TestWarningsAreBounded(t *testing.T) {
	annotations := map[string]string{}
	for n := range 5000 {
		annotations[fmt.Sprintf("fluxcd.io/%c%cutomated%d", 'a'+n%26, 'a'+n/26%26, n)] = "true"
		annotations[fmt.Sprintf("sluice.dev/tag.c%d", n)] = "a"
		annotations[fmt.Sprintf("fluxcd.io/tag.c%d", n)] = "b"
	}
	w := policy.Of(annotations)
	if len(w.Warnings) != 21 || !strings.HasPrefix(w.Warnings[20], "and ") {
		t.Errorf("%d warnings, the last is %q", len(w.Warnings), w.Warnings[len(w.Warnings)-1])
	}
}
