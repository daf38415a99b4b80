package cli

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/images/policy"
)

func TestParseTags(t *testing.T) {
	const digest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	got, err := parseTags([]byte("\ufeff[\r\n {\"tag\":\"a\",\"created\":\"2026-01-31T12:00:00+01:00\",\"digest\":\"" + digest + `","platforms":["linux/amd64"]}, {"tag":"b","platforms":null}]` + "\n"))
	want := []policy.Tag{
		{Tag: "a", Created: time.Date(2026, 1, 31, 11, 0, 0, 0, time.UTC), Digest: digest, Platforms: []string{"linux/amd64"}},
		{Tag: "b"},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	for in, want := range map[string]string{
		"":                                      "1:1: unexpected end of JSON input",
		"[":                                     "1:1: unexpected end of JSON input",
		"{}":                                    "1:1: not a list",
		"null":                                  "1:1: not a list",
		"[1]":                                   "1:2: not an object",
		"[null]":                                "1:2: not an object",
		"[\n {\"tag\":1}]":                      "2:2: tag: want a string, or for platforms a list of them",
		"[{}]":                                  `1:2: tag "" is none: it has letters`,
		`[{"tag":"a/b"}]`:                       `1:2: tag "a/b" is none`,
		`[{"tag":"a","digest":"x"}]`:            `1:2: a: digest "x" is none: write sha256:...`,
		`[{"tag":"a","platforms":["arm"]}]`:     `1:2: a: platform "arm" is none: write linux/amd64`,
		`[{"tag":"a","platforms":["a/b,c/d"]}]`: `1:2: a: platform "a/b,c/d" is none`,
		`[{"tag":"a"}] x`:                       "1:15: invalid character 'x' after top-level value",
	} {
		_, err := parseTags([]byte(in))
		var at *tagError
		if !errors.As(err, &at) || !bytes.HasPrefix([]byte(err.Error()), []byte(want)) {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
}

// FuzzParseTags: whatever stands in a file, it is read, or an error says where
// within it.
func FuzzParseTags(f *testing.F) {
	f.Add([]byte(`[{"tag":"a"}, {"tag":"b","created":"2026-01-31T12:00:00Z"}]`))
	f.Add([]byte("[{\"tag\":\"a\"},\n {\"tag\":\"a\"}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		tags, err := parseTags(data)
		var at *tagError
		if err != nil && (!errors.As(err, &at) || at.line < 1 || at.line > bytes.Count(data, []byte("\n"))+1 || at.column < 1 || at.column > len(data)+1) {
			t.Errorf("%q: %v", data, err)
		}
		seen := map[string]bool{}
		for _, tag := range tags {
			if seen[tag.Tag] || tag.Tag == "" {
				t.Errorf("%q: %v", data, fmt.Sprint(tags))
			}
			seen[tag.Tag] = true
		}
	})
}
