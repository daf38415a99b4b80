package policy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// part is what a word of a format is, the parts of a date by their weight.
type part int

const (
	year part = iota
	month
	week
	day
	major
	minor
	micro
	modifier
)

func (p part) String() string {
	return [...]string{"year", "month", "week", "day", "MAJOR", "MINOR", "MICRO", "MODIFIER"}[p]
}

// word is one of those that calver.org has.
type word struct {
	text        string
	part        part
	re          string
	width       int // of the number; 0: it varies
	least, most int // of parts of a date
}

// words are in the order in which they are looked for.
var words = []word{
	{text: "YYYY", part: year, re: `[0-9]{4}`, width: 4, most: 9999},
	{text: "0Y", part: year, re: `[0-9]{2,3}`, most: 999},
	{text: "YY", part: year, re: `[0-9]{1,3}`, most: 999},
	{text: "0M", part: month, re: `[0-9]{2}`, width: 2, least: 1, most: 12},
	{text: "MM", part: month, re: `[0-9]{1,2}`, least: 1, most: 12},
	{text: "0W", part: week, re: `[0-9]{2}`, width: 2, most: 53},
	{text: "WW", part: week, re: `[0-9]{1,2}`, most: 53},
	{text: "0D", part: day, re: `[0-9]{2}`, width: 2, least: 1, most: 31},
	{text: "DD", part: day, re: `[0-9]{1,2}`, least: 1, most: 31},
	{text: "MAJOR", part: major, re: `[0-9]+`},
	{text: "MINOR", part: minor, re: `[0-9]+`},
	{text: "MICRO", part: micro, re: `[0-9]+`},
	{text: "MODIFIER", part: modifier, re: `[A-Za-z][0-9A-Za-z._-]*`},
}

// node is a piece of a format; exactly one of its fields is set.
type node struct {
	literal  string
	word     *word
	star     bool
	optional []node
}

// maxDepth bounds how deep brackets stand in brackets.
const maxDepth = 5

// formatParser reads a format from left to right.
type formatParser struct {
	rest  string
	depth int
}

func parseFormat(text string) ([]node, error) {
	p := formatParser{rest: text}
	nodes, err := p.nodes()
	if err != nil {
		return nil, err
	}
	if p.rest != "" {
		return nil, errors.New("there is a ] without a [")
	}
	_, err = follow(nodes, []ending{{}})
	return nodes, err
}

// nodes reads up to the end, or to the bracket that closes.
func (p *formatParser) nodes() ([]node, error) {
	var nodes []node
	for p.rest != "" && p.rest[0] != ']' {
		n, err := p.node()
		if err != nil {
			return nil, err
		}
		if last := len(nodes) - 1; n.literal != "" && last >= 0 && nodes[last].literal != "" {
			nodes[last].literal += n.literal
			continue
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

func (p *formatParser) node() (node, error) {
	for i := range words {
		if rest, ok := strings.CutPrefix(p.rest, words[i].text); ok {
			p.rest = rest
			return node{word: &words[i]}, nil
		}
	}
	first := []rune(p.rest)[0]
	switch {
	case first == '*':
		p.rest = p.rest[1:]
		return node{star: true}, nil
	case first == '[':
		return p.brackets()
	case first == '\'':
		return p.quoted()
	case isCapital(first):
		return node{}, fmt.Errorf("%q is no word of a format at %s: put text with capital letters in single quotes", first, quote(p.rest))
	case !inTags(first):
		return node{}, fmt.Errorf("no tag has the character %q", first)
	}
	p.rest = p.rest[1:]
	return node{literal: string(first)}, nil
}

func (p *formatParser) brackets() (node, error) {
	if p.depth++; p.depth > maxDepth {
		return node{}, fmt.Errorf("brackets stand more than %d deep", maxDepth)
	}
	p.rest = p.rest[1:]
	nodes, err := p.nodes()
	switch {
	case err != nil:
		return node{}, err
	case p.rest == "":
		return node{}, errors.New("a [ is not closed")
	case len(nodes) == 0:
		return node{}, errors.New("there is nothing in []")
	}
	p.rest, p.depth = p.rest[1:], p.depth-1
	return node{optional: nodes}, nil
}

func (p *formatParser) quoted() (node, error) {
	text, rest, closed := strings.Cut(p.rest[1:], "'")
	switch {
	case !closed:
		return node{}, errors.New("a quote is not closed")
	case text == "":
		return node{}, errors.New("there is nothing in ''")
	}
	for _, c := range text {
		if !inTags(c) {
			return node{}, fmt.Errorf("no tag has the character %q", c)
		}
	}
	p.rest = rest
	return node{literal: text}, nil
}

// ending is how the pieces so far may end.
type ending struct {
	star   bool
	number string // a word whose number has no fixed width
}

// follow checks that it can be told where each number ends, after each of the
// ways in which what stands before may end, and returns how all ends.
func follow(nodes []node, before []ending) ([]ending, error) {
	for _, n := range nodes {
		after := []ending{{}}
		switch {
		case n.optional != nil:
			within, err := follow(n.optional, before)
			if err != nil {
				return nil, err
			}
			after = slices.Concat(before, within)
		case n.star:
			after[0].star = true
		case n.word != nil && n.word.width == 0:
			after[0].number = n.word.text
		}
		for _, e := range before {
			switch {
			case n.star && e.star:
				return nil, errors.New("two * stand beside each other")
			case startsNumber(n) && e.number != "":
				return nil, fmt.Errorf("where %s ends cannot be told if a number comes next: 0M, 0D and 0W have a fixed width", e.number)
			}
		}
		before = unique(after)
	}
	return before, nil
}

func unique(all []ending) []ending {
	var some []ending
	for _, e := range all {
		if !slices.Contains(some, e) {
			some = append(some, e)
		}
	}
	return some
}

// startsNumber reports whether n itself begins with a digit.
func startsNumber(n node) bool {
	return n.word != nil && n.word.part != modifier || n.literal != "" && isDigit(rune(n.literal[0]))
}

// wordsOf returns the words in the order in which they stand.
func wordsOf(nodes []node) []word {
	var all []word
	for _, n := range nodes {
		if n.word != nil {
			all = append(all, *n.word)
		}
		all = append(all, wordsOf(n.optional)...)
	}
	return all
}

// checkWords checks that words make a date.
func checkWords(words []word) error {
	have := map[part]string{}
	for _, w := range words {
		if have[w.part] != "" {
			return fmt.Errorf("%s and %s are both the %s", have[w.part], w.text, w.part)
		}
		have[w.part] = w.text
	}
	switch {
	case have[year] == "":
		return errors.New("it has no year, YYYY, YY or 0Y; a tag without a date has a version or a number")
	case have[day] != "" && have[month] == "":
		return errors.New("it has a day without a month, MM or 0M")
	case have[month] != "" && have[week] != "":
		return errors.New("it has both a month and a week")
	}
	return nil
}

// expression returns the regular expression for nodes. before and after say
// whether a number may stand there.
func expression(nodes []node, before, after bool) string {
	var b strings.Builder
	for i, n := range nodes {
		next := mayStart(nodes[i+1:], after)
		switch {
		case n.literal != "":
			b.WriteString(regexp.QuoteMeta(n.literal))
			before = isDigit(rune(n.literal[len(n.literal)-1]))
		case n.word != nil:
			b.WriteString("(" + n.word.re + ")")
			before = n.word.part != modifier
		case n.star:
			b.WriteString(run(before, next))
			before = false
		default:
			b.WriteString("(?:" + expression(n.optional, before, next) + ")?")
			before = before || mayEnd(n.optional)
		}
	}
	return b.String()
}

// run is what * stands for between what may be numbers.
func run(before, after bool) string {
	switch {
	case before && after:
		return `(?:[^0-9]|[^0-9].*?[^0-9])`
	case before:
		return `(?:[^0-9].*?)?`
	case after:
		return `(?:.*?[^0-9])?`
	}
	return `.*?`
}

// mayStart reports whether nodes, or what comes after if they may be empty, may
// begin with a number.
func mayStart(nodes []node, after bool) bool {
	for _, n := range nodes {
		switch {
		case n.optional == nil:
			return startsNumber(n)
		case mayStart(n.optional, after):
			return true
		}
	}
	return after
}

// mayEnd reports whether nodes may end with a number.
func mayEnd(nodes []node) bool {
	for _, n := range slices.Backward(nodes) {
		switch {
		case n.optional != nil && mayEnd(n.optional):
			return true
		case n.optional != nil:
		case n.word != nil:
			return n.word.part != modifier
		default:
			return n.literal != "" && isDigit(rune(n.literal[len(n.literal)-1]))
		}
	}
	return false
}
