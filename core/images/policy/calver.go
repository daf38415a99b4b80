package policy

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/images/natural"
)

// calverRule reads tags by a format that is compiled to a regular expression,
// each word of it to a group.
type calverRule struct {
	format string
	re     *regexp.Regexp
	words  []word // by group, from 1
	order  []int  // of the words, the one that counts most first
}

func parseCalver(text string) (rule, error) {
	nodes, err := parseFormat(text)
	if err != nil {
		return nil, err
	}
	words := wordsOf(nodes)
	if err := checkWords(words); err != nil {
		return nil, err
	}
	re, err := compile("^" + expression(nodes, false, false) + "$")
	if err != nil {
		return nil, err
	}
	return calverRule{format: text, re: re, words: words, order: byWeight(words)}, nil
}

// byWeight returns the words as they count: from left to right, but for those of
// the date, which count as the date does, in the place of the first of them.
func byWeight(words []word) []int {
	var left, date []int
	place := 0
	for i, w := range words {
		switch {
		case w.part > day:
			left = append(left, i)
		case len(date) == 0:
			place = len(left)
			fallthrough
		default:
			date = append(date, i)
		}
	}
	slices.SortFunc(date, func(a, b int) int { return cmp.Compare(words[a].part, words[b].part) })
	return slices.Insert(left, place, date...)
}

func (r calverRule) read(tag string) (value, bool) {
	found := r.re.FindStringSubmatchIndex(tag)
	if found == nil || r.wrong(tag, found) != "" {
		return nil, false
	}
	d := make(dated, len(r.order))
	for i, at := range r.order {
		d[i] = item{modifier: r.words[at].part == modifier}
		if from, to := found[2*at+2], found[2*at+3]; from >= 0 {
			d[i].there, d[i].text = true, tag[from:to]
			d[i].number, _ = parseNumber(d[i].text)
		}
	}
	return d, true
}

// wrong says why what was found is no date, "" if it is one.
func (r calverRule) wrong(tag string, found []int) string {
	have := map[part]int{}
	for i, w := range r.words {
		from, to := found[2*i+2], found[2*i+3]
		if from < 0 || w.part > day {
			continue
		}
		n, err := strconv.Atoi(tag[from:to])
		if err != nil || n < w.least || n > w.most {
			return "there is no " + w.part.String() + " " + tag[from:to]
		}
		if w.part == year && w.width != 4 {
			n += 2000
		}
		have[w.part] = n
	}
	d, ok := have[day]
	if ok && time.Date(have[year], time.Month(have[month]), d, 0, 0, 0, 0, time.UTC).Day() != d {
		return "that month has no day " + strconv.Itoa(d)
	}
	return ""
}

func (r calverRule) explain(tag string, _ value, ok bool) string {
	if ok {
		return "matches calver:" + r.format
	}
	found := r.re.FindStringSubmatchIndex(tag)
	if found == nil {
		return "does not match calver:" + r.format
	}
	return "does not match calver:" + r.format + ": " + r.wrong(tag, found)
}

// dated is a value: what a tag has of each word, the one that counts most first.
type dated []item

type item struct {
	there, modifier bool
	text            string
	number          number
}

func (d dated) compare(other value) int {
	for i, x := range d {
		if c := x.compare(other.(dated)[i]); c != 0 {
			return c
		}
	}
	return 0
}

// compare: what is not there is older, but for a modifier.
func (x item) compare(y item) int {
	switch {
	case !x.there && !y.there:
		return 0
	case x.there != y.there:
		if x.there != x.modifier {
			return 1
		}
		return -1
	case x.modifier:
		return cmp.Or(natural.Compare(strings.ToLower(x.text), strings.ToLower(y.text)), natural.Compare(x.text, y.text))
	}
	return x.number.compare(y.number)
}
