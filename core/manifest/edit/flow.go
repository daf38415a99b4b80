package edit

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v3"
)

// layout is how a flow mapping is written.
type layout struct {
	json      bool
	quoteKeys bool
	compact   bool   // no space after : and ,
	separator string // line end and indentation of its entries; "" if they share a line
	step      string // further indentation of what is inside of an entry
}

func (l layout) key(k string) string {
	if l.json || l.quoteKeys {
		k = jsonString(k)
	} else {
		k = plainOr(k, '"', false, true)
	}
	if l.compact && (l.json || l.quoteKeys) {
		return k + ":"
	}
	return k + ": "
}

func (l layout) comma() string {
	if l.compact {
		return ","
	}
	return ", "
}

// layout looks how the flow mapping m is written.
func (d *doc) layout(m *yaml.Node) layout {
	l := layout{json: d.JSON}
	text := d.chunk.Text
	if len(m.Content) == 0 {
		return l
	}
	key, value := m.Content[len(m.Content)-2], m.Content[len(m.Content)-1]
	l.quoteKeys = key.Style&yaml.DoubleQuotedStyle != 0
	start, end, err := d.span(key)
	valueStart, _, valueErr := d.span(value)
	if err != nil || valueErr != nil {
		return l
	}
	l.compact = valueStart == end+1
	line := lineStart(text, start)
	if indent := text[line:start]; line > 0 && len(bytes.TrimLeft(indent, " \t")) == 0 {
		l.separator = d.lineBreak(lineEnd(text, start)) + string(indent)
		l.step = d.flowStep(m, string(indent))
	}
	return l
}

// flowStep returns by how much more than the line of its brace the entries of
// m are indented.
func (d *doc) flowStep(m *yaml.Node, indent string) string {
	if start, _, err := d.span(m); err == nil {
		line := d.chunk.Text[lineStart(d.chunk.Text, start):start]
		outer := string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
		if step, ok := strings.CutPrefix(indent, outer); ok && step != "" {
			return step
		}
	}
	return "  "
}

// flowEntries returns the text of each entry.
func (d *doc) flowEntries(m *yaml.Node, entries []entry) []string {
	l := d.layout(m)
	quote, always := d.habit(m)
	list := make([]string, len(entries))
	for i, e := range entries {
		if l.json {
			list[i] = l.key(e.key) + jsonString(e.value)
		} else {
			list[i] = l.key(e.key) + plainOr(e.value, quote, always, true)
		}
	}
	return list
}

// insertFlow adds entries to the flow mapping m, behind its last one.
func (d *doc) insertFlow(m *yaml.Node, entries []string) (splice, error) {
	l := d.layout(m)
	start, _, err := d.span(m)
	if err != nil {
		return splice{}, d.refuse(m, "%v", err)
	}
	if len(m.Content) == 0 {
		return splice{start + 1, start + 1, strings.Join(entries, l.comma())}, nil
	}
	_, end, err := d.span(m.Content[len(m.Content)-1])
	if err != nil {
		return splice{}, d.refuse(m, "%v", err)
	}
	separator := strings.TrimPrefix(l.comma(), ",")
	if l.separator != "" {
		separator = l.separator
	}
	text := "," + separator + strings.Join(entries, ","+separator)
	if at := skipBlank(d.chunk.Text, end); d.chunk.Text[at] == ',' {
		return splice{at + 1, at + 1, text[1:] + ","}, nil
	}
	return splice{end, end, text}, nil
}
