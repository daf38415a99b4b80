package edit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/sluice-gitops/sluice/core/manifest/internal/document"
)

// replacement returns the text of a scalar that takes the place of n and has
// the value. It keeps the style of n if that can hold the value.
func (d *doc) replacement(n *yaml.Node, raw []byte, value string) string {
	switch {
	case d.JSON:
		return jsonString(value)
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		if text, ok := intoBlock(n, raw, value); ok {
			return text
		}
		return quoted(value, d.quote())
	case n.Style&yaml.DoubleQuotedStyle != 0:
		return quoted(value, '"')
	case n.Style&yaml.SingleQuotedStyle != 0:
		return quoted(value, '\'')
	}
	if isPlain(value, d.inFlow(n)) {
		return value
	}
	return quoted(value, d.quote())
}

// quote returns the quote that the document uses, or the double one.
func (d *doc) quote() byte {
	found := byte('"')
	var visit func(n *yaml.Node) bool
	visit = func(n *yaml.Node) bool {
		if n.Style&yaml.SingleQuotedStyle != 0 {
			found = '\''
		}
		if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
			return true
		}
		for _, c := range n.Content {
			if visit(c) {
				return true
			}
		}
		return false
	}
	for _, root := range d.Roots {
		if visit(root) {
			break
		}
	}
	return found
}

// intoBlock returns the block scalar raw with another value, if its header
// says how to read that: with the line end that the value has or has not.
func intoBlock(n *yaml.Node, raw []byte, value string) (string, bool) {
	b, ok := readBlock(raw)
	if !ok || strings.ContainsAny(b.header, "123456789") {
		return "", false
	}
	body := value
	if !strings.Contains(b.header, "-") {
		if body, ok = strings.CutSuffix(value, "\n"); !ok {
			return "", false
		}
	}
	folded := n.Style&yaml.FoldedStyle != 0
	if body == "" || strings.ContainsAny(body, "\r\t\u0085\u2028\u2029\ufeff") || strings.HasSuffix(body, "\n") ||
		folded && strings.Contains(body, "\n") || strings.HasPrefix(body, " ") || strings.HasPrefix(body, "\n") || !printable(body) {
		return "", false
	}
	eol := "\n"
	if end := lineEnd(raw, 0); end < len(raw) {
		eol = string(raw[end : end+breakLength(raw[end:])])
	}
	indent := strings.Repeat(" ", b.indent)
	lines := strings.Split(body, "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = indent + line
		}
	}
	return string(raw[:b.first]) + strings.Join(lines, eol) + trailing(raw[b.first:b.end]), true
}

// trailing returns the blank lines that a block ends with, each with the line
// end before it.
func trailing(body []byte) string {
	trimmed := bytes.TrimRight(body, " \r\n")
	return string(body[len(trimmed):])
}

// quoted returns value in quotes; in double ones if it holds what single ones
// cannot.
func quoted(value string, quote byte) string {
	if quote == '\'' && printable(value) && !strings.ContainsAny(value, "\n\r\u0085\u2028\u2029") {
		return "'" + strings.ReplaceAll(value, "'", "''") + "'"
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range value {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// jsonString returns value as JSON, with <, > and & as they are.
func jsonString(value string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		panic("edit: string that is no JSON: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' })
}

// numberForm is what some YAML parser takes for a number or a date: decimal,
// with base, to base 60, and days.
var numberForm = regexp.MustCompile(`^[-+]?(\.?[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9]+)?|0[xob][0-9a-fA-F_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?)$`)

// isPlain reports whether value can stand without quotes and is a string to
// every parser, whichever version of YAML it reads.
func isPlain(value string, flow bool) bool {
	if value == "" || strings.TrimSpace(value) != value || !printable(value) || strings.ContainsAny(value, "\n\ufeff") {
		return false
	}
	if strings.IndexByte("-?:,[]{}#&*!|>'\"%@`=~<", value[0]) >= 0 || strings.HasPrefix(value, "...") {
		return false
	}
	if strings.Contains(value, ": ") || strings.Contains(value, " #") || strings.HasSuffix(value, ":") {
		return false
	}
	if flow && (strings.ContainsAny(value, ",[]{}") || strings.Contains(value, ":\"")) {
		return false
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: value}
	v, err := document.Scalar(n)
	return err == nil && v == any(value) && n.ShortTag() == "!!str" && !numberForm.MatchString(value)
}
