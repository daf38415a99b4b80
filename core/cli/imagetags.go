package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// tagError says what is wrong with a file of tags, and where: its text begins
// with LINE:COLUMN.
type tagError struct {
	line, column int
	problem      string
}

func (e *tagError) Error() string { return fmt.Sprintf("%d:%d: %s", e.line, e.column, e.problem) }

var (
	tagName   = regexp.MustCompile(`^[0-9A-Za-z_][0-9A-Za-z_.-]{0,127}$`)
	tagDigest = regexp.MustCompile(`^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-fA-F]{32,}$`)
)

// tagsParser reads a list of tags in JSON.
type tagsParser struct {
	data []byte
	dec  *json.Decoder
	seen map[string]int // where each name began
}

// parseTags reads [{"tag","created","digest","platforms"}]. Its errors are
// *tagError.
func parseTags(data []byte) ([]policy.Tag, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	p := tagsParser{data: data, dec: json.NewDecoder(bytes.NewReader(data)), seen: map[string]int{}}
	var whole json.RawMessage
	if err := json.Unmarshal(data, &whole); err != nil {
		return nil, p.syntax(err)
	}
	if first, err := p.dec.Token(); err != nil || first != json.Delim('[') {
		return nil, p.at(p.start(0), "not a list")
	}
	tags := []policy.Tag{}
	for p.dec.More() {
		start := p.start(p.dec.InputOffset())
		var raw json.RawMessage
		if err := p.dec.Decode(&raw); err != nil {
			return nil, p.syntax(err)
		}
		t, err := p.tag(raw, start)
		if err != nil {
			return nil, err
		}
		tags = append(tags, t)
	}
	return tags, nil
}

// start is where the next value begins after offset.
func (p *tagsParser) start(offset int64) int {
	i := int(offset)
	for i < len(p.data) && bytes.IndexByte([]byte(" \t\r\n,"), p.data[i]) >= 0 {
		i++
	}
	return i
}

// at is an error at an offset.
func (p *tagsParser) at(offset int, format string, args ...any) error {
	line, column := p.place(offset)
	return &tagError{line, column, fmt.Sprintf(format, args...)}
}

func (p *tagsParser) place(offset int) (line, column int) {
	before := p.data[:min(offset, len(p.data))]
	return bytes.Count(before, []byte("\n")) + 1, len(before) - bytes.LastIndexByte(before, '\n')
}

// syntax is an error that says that it is no JSON.
func (p *tagsParser) syntax(err error) error {
	var bad *json.SyntaxError
	if !errors.As(err, &bad) {
		return p.at(0, "%v", err)
	}
	return p.at(max(int(bad.Offset)-1, 0), "%v", bad)
}

// tag reads one element, which begins at start.
func (p *tagsParser) tag(raw json.RawMessage, start int) (policy.Tag, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
		return policy.Tag{}, p.at(start, "not an object")
	}
	var t policy.Tag
	var created string
	known := map[string]any{"tag": &t.Tag, "created": &created, "digest": &t.Digest, "platforms": &t.Platforms}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		into, ok := known[name]
		if !ok {
			return t, p.at(start, "unknown field %q%s", name, didYouMean(name))
		}
		if err := json.Unmarshal(fields[name], into); err != nil {
			return t, p.at(start, "%s: want a string, or for platforms a list of them", name)
		}
	}
	return t, p.check(&t, created, start)
}

func didYouMean(name string) string {
	if near := diag.Nearest(name, []string{"tag", "created", "digest", "platforms"}); near != "" {
		return fmt.Sprintf(": did you mean %q?", near)
	}
	return ""
}

// check completes t and says what is wrong with it.
func (p *tagsParser) check(t *policy.Tag, created string, start int) error {
	if !tagName.MatchString(t.Tag) {
		return p.at(start, "tag %.140q is none: it has letters, digits, _, . and -, begins with one of the first three, and is 128 long at most", t.Tag)
	}
	if t.Digest != "" && !tagDigest.MatchString(t.Digest) {
		return p.at(start, "%s: digest %.140q is none: write sha256:...", t.Tag, t.Digest)
	}
	if len(t.Platforms) > 0 {
		for i, platform := range t.Platforms {
			parsed, err := policy.ParsePlatforms(platform)
			if err != nil || len(parsed) != 1 {
				return p.at(start, "%s: platform %.100q is none: write linux/amd64", t.Tag, platform)
			}
			t.Platforms[i] = parsed[0]
		}
	}
	if created != "" {
		var err error
		if t.Created, err = time.Parse(time.RFC3339, created); err != nil {
			return p.at(start, "%s: created %.100q is no time: write it in RFC 3339, 2026-01-31T12:00:00Z", t.Tag, created)
		}
	}
	if before, twice := p.seen[t.Tag]; twice {
		line, _ := p.place(before)
		return p.at(start, "tag %s is in the list twice, before on line %d", t.Tag, line)
	}
	p.seen[t.Tag] = start
	return nil
}
