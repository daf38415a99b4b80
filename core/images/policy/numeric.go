package policy

import (
	"cmp"
	"fmt"
	"strings"
)

type numericRule struct{ from extraction }

func parseNumeric(text string) (rule, error) {
	if text == "asc" || text == "desc" { // as Flux 2 has it
		return nil, fmt.Errorf("%s is no regular expression for a number: write numeric,%s:RE", text, text)
	}
	from, err := parseExtraction(text)
	if err != nil {
		return nil, err
	}
	return numericRule{from}, nil
}

func (r numericRule) read(tag string) (value, bool) {
	part, found := r.from.find(tag)
	if !found {
		return nil, false
	}
	n, ok := parseNumber(part)
	if !ok {
		return nil, false
	}
	return n, true
}

func (r numericRule) explain(tag string, _ value, ok bool) string {
	part, found := r.from.find(tag)
	switch {
	case !found:
		return "does not match numeric:" + r.from.re.String()
	case !ok:
		return quote(part) + " is no number"
	}
	return "its number is " + part
}

// number is a value: a decimal of any length, without leading and trailing
// zeros.
type number struct{ whole, fraction string }

// parseNumber reads 12 or 12.5.
func parseNumber(s string) (n number, ok bool) {
	whole, fraction, point := strings.Cut(s, ".")
	if !allDigits(whole) || point && !allDigits(fraction) {
		return number{}, false
	}
	return number{strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")}, true
}

func allDigits(s string) bool {
	return s != "" && strings.IndexFunc(s, func(c rune) bool { return !isDigit(c) }) < 0
}

func (n number) compare(other value) int {
	m := other.(number)
	return cmp.Or(
		cmp.Compare(len(n.whole), len(m.whole)), strings.Compare(n.whole, m.whole), strings.Compare(n.fraction, m.fraction),
	)
}
