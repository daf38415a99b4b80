package charts

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// entry is one version in an index.
type entry struct {
	Version string   `json:"version"`
	Digest  string   `json:"digest"`
	URLs    []string `json:"urls"`
}

// wanted are the fields of an entry that are read.
var wanted = []string{"version", "digest", "urls"}

// batch is how much text is parsed at once, in bytes: a chart may have tens of
// thousands of versions.
const batch = 64 << 10

func readJSON(r io.Reader) (list []entry, err error) {
	d := json.NewDecoder(r)
	if open, err := d.Token(); err != nil || open != json.Delim('[') {
		return nil, errors.Join(errors.New("it is no list"), err)
	}
	for d.More() {
		var e entry
		if err := d.Decode(&e); err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, nil
}

// readYAML reads the versions of a chart: a line with its name, and a list in
// block style. Fields that nobody wants, most of an index, are not parsed.
func readYAML(r io.Reader) ([]entry, error) {
	items := itemReader{indent: -1}
	lines := bufio.NewReader(r)
	for first := true; ; first = false {
		line, _, err := head(lines)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if !first {
			if err := items.line(string(line)); err != nil {
				return nil, err
			}
		}
		if err != nil {
			err := items.parse()
			return items.list, err
		}
	}
}

// itemReader gathers what is wanted of the items of a list.
type itemReader struct {
	list   []entry
	text   bytes.Buffer // not parsed yet
	indent int          // of the items; -1: not seen yet
	fields int          // indent of the fields of the present item
	keep   bool         // the present field is wanted
}

func (i *itemReader) line(line string) error {
	trimmed := strings.TrimLeft(strings.TrimRight(line, " \r\n"), " ")
	at := len(line) - len(strings.TrimLeft(line, " "))
	if trimmed == "" || trimmed[0] == '#' {
		return nil
	}
	if i.indent < 0 {
		i.indent = at
	}
	begins := at == i.indent && (trimmed == "-" || strings.HasPrefix(trimmed, "- "))
	switch {
	case at < i.indent || at == i.indent && !begins:
		return errors.New("it is no list in block style")
	case begins:
		if i.text.Len() > batch {
			if err := i.parse(); err != nil {
				return err
			}
		}
		i.item(trimmed)
		return nil
	case i.fields < 0: // the first field, on a line of its own
		i.fields = at
	}
	if at == i.fields && trimmed[0] != '-' {
		i.keep = isWanted(trimmed)
	}
	if i.keep {
		i.text.WriteString(line)
	}
	return nil
}

// item begins a new one, whose first field may be on the same line.
func (i *itemReader) item(line string) {
	field := strings.TrimLeft(line[1:], " ")
	i.fields, i.keep = i.indent+len(line)-len(field), false
	dash := strings.Repeat(" ", i.indent) + "-"
	switch {
	case field == "":
		i.fields = -1
	case field[0] == '{': // in flow style
		i.keep = true
	case isWanted(field):
		i.keep = true
	default: // the dash stays, with a field of no meaning
		field = "_: 0"
	}
	if i.fields >= 0 {
		dash += strings.Repeat(" ", i.fields-i.indent-1)
	}
	i.text.WriteString(dash + field + "\n")
}

func isWanted(field string) bool {
	key, _, _ := strings.Cut(field, ":")
	return slices.Contains(wanted, unquote(key))
}

// parse reads what was gathered.
func (i *itemReader) parse() error {
	var list []entry
	if err := yaml.Unmarshal(i.text.Bytes(), &list); err != nil {
		return err
	}
	i.list = append(i.list, list...)
	i.text.Reset()
	return nil
}
