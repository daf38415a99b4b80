package policy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/images/policy"
)

// TestPatterns: what each pattern takes, the newest first, and what it refuses.
func TestPatterns(t *testing.T) {
	long := strings.Repeat("9", 39)
	for _, tt := range []struct {
		pattern  string
		want, no []string
	}{
		{`numeric:^build-([0-9]+)$`, []string{"build-100", "build-99", "build-9", "build-08"}, []string{"build-", "build-x", "xbuild-1", "build-1-2", "latest"}},
		{`numeric,asc:^build-([0-9]+)$`, []string{"build-2", "build-1"}, nil},
		{`numeric,desc:^build-([0-9]+)$`, []string{"build-1", "build-2", "build-10"}, []string{"build"}},
		{`numeric:^main-[0-9a-f]{7}-(?P<n>[0-9]+)$`, []string{"main-aaaaaaa-12", "main-0000000-2"}, []string{"main-aaaaaaa-", "main-123-12"}},
		{`numeric:^main-(?P<sha>[0-9a-f]+)-(?P<n>[0-9.]+)$`, []string{"main-f-1.5", "main-0-1.25", "main-e-1"}, []string{"main-f-1.", "main-f-1.2.3", "main-f-.5"}},
		{`numeric:^(?P<ts>[0-9]+)$`, []string{"20260102", "20260101"}, []string{"x1"}},
		{`numeric:[0-9]+`, []string{"b10", "9a"}, []string{"x", ""}},
		{`numeric:^([0-9]+)?-x$`, []string{"7-x"}, []string{"-x"}},
		{`numeric:(.+)`, []string{"12"}, []string{"-12", "1e9", "0x1f", "١٢", "1_000"}},
		{`numeric:^([0-9]+)$`, []string{"1" + strings.Repeat("0", 39), long, long[:38] + "8", "0" + long[:38], "18446744073709551616", "18446744073709551615"}, nil},

		{`semver:~1.27 from ^(.+)-alpine$`, []string{"1.27.10-alpine", "v1.27.9-alpine"}, []string{"1.27.11", "1.28.0-alpine", "x-alpine", "1.27.3-rc1-alpine"}},
		{`semver:>=1.0-0 from ^app-(?P<n>[^_]+)(_[a-z]+)?$`, []string{"app-1.1.0_b", "app-1.1.0-rc.1", "app-1.0.0"}, []string{"app-", "1.0.0"}},
		{`semver,desc:*`, []string{"1.0", "2.0"}, []string{"x"}},
		{`semver:*-0`, []string{"1.0.0", "1.0.0-b", "1.0.0-alpha.b", "1.0.0-alpha.2026010112000012345678", "1.0.0-alpha.18446744073709551617", "1.0.0-alpha.9", "1.0.0-alpha", "1.0.0-9"}, nil},

		{`calver:YYYY.0M.0D`, []string{"2026.02.01", "2026.01.31", "2025.12.31"}, []string{"2026.2.1", "2026.13.01", "2026.02.30", "2026.01.01-1", "26.01.01"}},
		{`calver:YYYY.0M.0D[-MICRO]`, []string{"2026.02.01-10", "2026.02.01-9", "2026.02.01-0", "2026.02.01", "2026.01.31-99"}, []string{"2026.02.01-", "2026.02.01-x"}},
		{`calver:0Y.0M[.MICRO]`, []string{"106.04", "24.04.2", "24.04.1", "24.04", "06.10"}, []string{"24.4", "6.10"}},
		{`calver:YY.MM[.MICRO][-MODIFIER]`, []string{"24.10", "24.10-rc10", "24.10-rc2", "24.10-beta", "24.4.1", "24.4", "24.4-rc1"}, []string{"24.13", "24.0"}},
		{`calver:DD.MM.YYYY`, []string{"1.2.2026", "31.1.2026", "31.12.2025"}, []string{"29.2.2025"}},
		{`calver:MAJOR.0D-0M-YYYY.MICRO`, []string{"2.01-01-2020.1", "1.01-02-2026.1", "1.31-01-2026.2", "1.31-01-2026.1"}, nil},
		{`calver:YYYY0M0DMICRO`, []string{"20260101120000", "2026010199", "202601010"}, []string{"20260101", "20261301000000"}},
		{`calver:nightly-YYYY0M0D-*`, []string{"nightly-20260102-ab", "nightly-20260101-", "nightly-20251231-1f"}, []string{"nightly-20260102", "nightly-202601021-x"}},
		{`calver:*-YYYY0M0D`, []string{"a1-20260102", "-20260101"}, []string{"20260102", "x-120260102"}},
		{`calver:*YYYY0M0D*`, []string{"a20260102b", "20260101-9"}, []string{"120260102", "202601021"}},
		{`calver:'RELEASE'.YYYY-0M-0D'T'MAJOR-MINOR-MICRO'Z'`, []string{"RELEASE.2026-01-16T16-07-38Z", "RELEASE.2026-01-16T09-58-01Z"}, []string{"RELEASE.2026-01-16"}},
		{`calver:YYYY.WW`, []string{"2026.53", "2026.9", "2026.08"}, []string{"2026.54"}},
	} {
		p, err := policy.Parse(tt.pattern)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		var got []policy.Candidate
		for _, tag := range slices.Backward(tt.want) {
			if !p.Matches(tag) {
				t.Errorf("%s refuses %s: %s", tt.pattern, tag, p.Explain(tag))
			}
			got = append(got, policy.Candidate{Tag: tag})
		}
		p.Sort(got)
		var names []string
		for _, c := range got {
			names = append(names, c.Tag)
		}
		if diff := cmp.Diff(tt.want, names); diff != "" {
			t.Errorf("%s:\n%s", tt.pattern, diff)
		}
		for _, tag := range tt.no {
			if p.Matches(tag) {
				t.Errorf("%s takes %s", tt.pattern, tag)
			}
		}
	}
}

func TestPatternErrors(t *testing.T) {
	for pattern, want := range map[string]string{
		"numeric:":                 "empty",
		"numeric:(":                "missing closing )",
		"numeric:(a)(b)":           "it has 2 groups: name the one that counts n",
		"numeric:(?P<n>a)(?P<n>b)": "two groups have the name n",
		"numeric,up:([0-9])":       `unknown option "up": there are asc, desc, ties=names`,
		"numeric,:([0-9])":         `unknown option ""`,
		"numeric,ties=x:([0-9])":   `unknown option "ties=x"`,
		"glob,desc:*":              "option desc: a glob or regular expression orders by time",
		"semver:1 from ":           `after "from" there is no regular expression`,
		"semver:1 from (":          "from: ",
		"semver:>>1 from a":        "improper constraint",

		"calver:MAJOR.MINOR":                         "it has no year",
		"calver:2026.0M":                             "it has no year",
		"calver:YYYY.0D":                             "a day without a month",
		"calver:YYYY.0M.WW":                          "both a month and a week",
		"calver:YYYY.YY":                             "YYYY and YY are both the year",
		"calver:YYYY.MMDD":                           "where MM ends cannot be told",
		"calver:YYYY.MICRO[-x]0M":                    "where MICRO ends cannot be told",
		"calver:YYYY.MICRO1":                         "where MICRO ends cannot be told",
		"calver:YYYY.MODIFIERMICRO":                  "where MODIFIER ends cannot be told",
		"calver:YYYY.Mm":                             `'M' is no word of a format at "Mm"`,
		"calver:YYYY[":                               "a [ is not closed",
		"calver:YYYY]":                               "a ] without a [",
		"calver:YYYY[]":                              "nothing in []",
		"calver:YYYY''":                              "nothing in ''",
		"calver:YYYY'x":                              "a quote is not closed",
		"calver:YYYY'ü'":                             "no tag has the character 'ü'",
		"calver:YYYY+1":                              "no tag has the character '+'",
		"calver:YYYY**":                              "two * stand beside each other",
		"calver:YYYY*[*]":                            "two * stand beside each other",
		"calver:YYYY" + strings.Repeat("[.x", 10):    "more than 5 deep",
		"calver:YYYY" + strings.Repeat("-*", 400):    "repetitions are more than",
		"calver,ties=newest:":                        "empty",
		"calver:\xff":                                "no tag has the character",
		"semver:1 from " + strings.Repeat("a", 1020): "longer than",
	} {
		_, err := policy.Parse(pattern)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q): %v, want %s", pattern, err, want)
		}
	}
}

// TestTies: which of several tags that are equal is newer.
func TestTies(t *testing.T) {
	at := func(h int) time.Time { return time.Date(2026, 1, 1, h, 0, 0, 0, time.UTC) }
	tags := []policy.Candidate{{"b-7", at(2)}, {"aa-07", at(1)}, {"a-7", at(0)}, {"c-007", time.Time{}}, {"z-6", at(9)}}
	for option, want := range map[string]string{
		"":             "a-7 aa-07 b-7 c-007 z-6",
		",ties=names":  "a-7 aa-07 b-7 c-007 z-6",
		",ties=newest": "b-7 aa-07 a-7 c-007 z-6",
		// The longer name is the newer one, whatever it says.
		",ties=longest":      "aa-07 c-007 a-7 b-7 z-6",
		",desc,ties=longest": "z-6 aa-07 c-007 a-7 b-7",
	} {
		p := parse(t, "numeric"+option+":([0-9]+)$")
		if got, want := p.NeedsTimes(), option == ",ties=newest"; got != want {
			t.Errorf("%s needs times: %v", option, got)
		}
		sorted := slices.Clone(tags)
		p.Sort(sorted)
		var names []string
		for _, c := range sorted {
			names = append(names, c.Tag)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: %s, want %s", option, got, want)
		}
	}
}

func TestExplain(t *testing.T) {
	for _, tt := range []struct{ pattern, tag, want string }{
		{"v*", "v1", "matches glob:v*"},
		{"glob:v*", "x", "does not match glob:v*"},
		{"*", "Latest", "a tag that moves is no release: only the pattern glob:latest takes latest"},
		{"regexp:^a", "ab", "matches regexp:^a"},
		{"semver:~1.2", "1.2.9", "1.2.9 is in semver:~1.2"},
		{"semver:~1.2", "1.3.0", "1.3.0 is not in semver:~1.2"},
		{"semver:~1.2", "1.2.9-rc1", "1.2.9-rc1 is a pre-release, which semver:~1.2 does not take"},
		{"semver:~1.2", "1.3.0-rc1", "1.3.0-rc1 is not in semver:~1.2"},
		{"semver:~1.2", "master", "master is no version"},
		{"semver:~1.2 from ^(.*)-x$", "1.2", "does not match ^(.*)-x$"},
		{"semver:~1.2 from ^(.*)-x$", "y-x", "y is no version"},
		{"numeric:^b(.*)$", "b12", "its number is 12"},
		{"numeric:^b(.*)$", "b-12", `"-12" is no number`},
		{"numeric:^b(.*)$", "12", "does not match numeric:^b(.*)$"},
		{"calver:YYYY.0M", "2026.13", "does not match calver:YYYY.0M: there is no month 13"},
		{"calver:YYYY.0M.0D", "2026.02.30", "does not match calver:YYYY.0M.0D: that month has no day 30"},
		{"calver:YYYY.0M", "2026.1", "does not match calver:YYYY.0M"},
	} {
		if got := parse(t, tt.pattern).Explain(tt.tag); got != tt.want {
			t.Errorf("%s of %s: %s, want %s", tt.pattern, tt.tag, got, tt.want)
		}
	}
	if got := (policy.Policy{}).Explain("1"); got != "there is no pattern that takes it" {
		t.Error(got)
	}
}

// FuzzExtraction: a number or a date in a tag never brings anything down, and
// orders as arithmetic does.
func FuzzExtraction(f *testing.F) {
	f.Add("build-", "12", "9", "YYYY.0M[-MICRO]", "2026.01-1")
	f.Add("", "00012", "12", "*YYYY-[MODIFIER]*", "a2026-rc1x")
	f.Fuzz(func(t *testing.T, prefix, a, b, format, tag string) {
		p := parse(t, `numeric:([0-9]+)$`)
		if wholly(a) && wholly(b) && !strings.ContainsAny(prefix, "0123456789\n") {
			x, y := policy.Candidate{Tag: prefix + a}, policy.Candidate{Tag: prefix + b}
			width := max(len(a), len(b))
			padded := func(s string) string { return strings.Repeat("0", width-len(s)) + s }
			want := strings.Compare(padded(b), padded(a))
			if got := p.Compare(x, y); want != 0 && got != want {
				t.Errorf("%s and %s: %d, want %d", x.Tag, y.Tag, got, want)
			}
		}
		c, err := policy.Parse("calver:" + format)
		if err == nil && c.Matches(tag) == strings.Contains(c.Explain(tag), "not match") && tag != "" && !strings.EqualFold(tag, "latest") {
			t.Errorf("%s: %s: %v, but %s", format, tag, c.Matches(tag), c.Explain(tag))
		}
	})
}

func wholly(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return c < '0' || c > '9' })
}
