package document

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// lineMark stands in a hint for a line of the chunk, until the line of the
// file is known.
func lineMark(line int) string { return fmt.Sprintf("\x00%d\x00", line) }

var lineMarkForm = regexp.MustCompile("\x00(\\d+)\x00")

// FileLines replaces the places that a hint names, which are lines of the
// chunk, by lines of the file.
func (c Chunk) FileLines(hint string) string {
	return lineMarkForm.ReplaceAllStringFunc(hint, func(mark string) string {
		line, _ := strconv.Atoi(strings.Trim(mark, "\x00")) // digits
		return strconv.Itoa(line + c.Line - 1)
	})
}
