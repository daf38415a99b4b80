package charts

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// span is where the versions of a chart stand in an index.
type span struct {
	from, length int64
	json         bool // a list; else a YAML map with the chart's name
}

// scan finds where the charts stand in an index, without reading what it says
// about them. An index that is YAML must be in block style, with plain or
// quoted names, as every program writes it.
func scan(r io.ReadSeeker) (map[string]span, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	first, err := buffered.Peek(1)
	if err != nil {
		return nil, errors.New("the index is empty")
	}
	if first[0] == '{' {
		return scanJSON(buffered)
	}
	return scanYAML(buffered)
}

func scanJSON(r io.Reader) (map[string]span, error) {
	entries := map[string]span{}
	malformed := func(err error) error { return fmt.Errorf("the index is not valid JSON: %w", err) }
	d := json.NewDecoder(r)
	if _, err := d.Token(); err != nil {
		return nil, malformed(err)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, malformed(err)
		}
		if name != "entries" {
			var skipped json.RawMessage
			if err := d.Decode(&skipped); err != nil {
				return nil, malformed(err)
			}
			continue
		}
		if open, err := d.Token(); err != nil || open != json.Delim('{') {
			return nil, errors.New("the index's entries are no map")
		}
		for d.More() {
			chart, err := d.Token()
			if err != nil {
				return nil, malformed(err)
			}
			var list json.RawMessage
			if err := d.Decode(&list); err != nil {
				return nil, malformed(err)
			}
			text, _ := chart.(string)
			end := d.InputOffset()
			entries[text] = span{end - int64(len(list)), int64(len(list)), true}
		}
		if _, err := d.Token(); err != nil {
			return nil, malformed(err)
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, malformed(err)
	}
	return entries, nil
}

// scanner is the state of scanYAML.
type scanner struct {
	entries map[string]span
	inside  bool // entries
	indent  int  // of the charts' names; zero: not seen yet
	chart   string
	start   int64
}

func scanYAML(r *bufio.Reader) (map[string]span, error) {
	s := scanner{entries: map[string]span{}}
	seen := false
	var at int64
	for {
		line, whole, err := head(r)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if len(line) > 0 {
			if err := s.line(line, at); err != nil {
				return nil, err
			}
			seen = seen || s.inside
		}
		at += whole
		if err != nil {
			break
		}
	}
	s.close(at)
	if !seen {
		return nil, errors.New("the index has no entries: is this a chart repository?")
	}
	return s.entries, nil
}

// longestHead is how much of a line is looked at.
const longestHead = 4 << 10

// head returns the beginning of the next line, and how long all of it is.
func head(r *bufio.Reader) (line []byte, whole int64, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if whole += int64(len(part)); len(line) < longestHead {
			line = append(line, part[:min(len(part), longestHead-len(line))]...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, whole, err
		}
	}
}

// line takes up the line that begins at an offset.
func (s *scanner) line(line []byte, at int64) error {
	text := strings.TrimRight(string(line), " \r\n")
	trimmed := strings.TrimLeft(text, " ")
	indent := len(text) - len(trimmed)
	switch {
	case trimmed == "" || trimmed[0] == '#':
		return nil
	case indent == 0 && trimmed[0] != '-':
		s.close(at)
		key, rest, _ := strings.Cut(trimmed, ":")
		s.inside = unquote(key) == "entries"
		if rest = strings.TrimSpace(rest); s.inside && rest != "" && rest != "{}" && rest[0] != '#' {
			return errors.New("the index's entries are not in block style")
		}
		return nil
	case !s.inside || trimmed[0] == '-':
		return nil
	case s.indent == 0:
		s.indent = indent
	}
	if indent == s.indent {
		s.close(at)
		key, _, ok := strings.Cut(trimmed, ":")
		if !ok {
			return fmt.Errorf("the index is malformed at byte %d", at)
		}
		s.chart, s.start = unquote(key), at
	}
	return nil
}

// close ends the chart that was begun.
func (s *scanner) close(at int64) {
	if s.chart != "" {
		s.entries[s.chart] = span{from: s.start, length: at - s.start}
	}
	s.chart = ""
}

func unquote(key string) string { return strings.Trim(strings.TrimSpace(key), `"'`) }
