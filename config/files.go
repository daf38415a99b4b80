package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

const (
	maxFileSize = 1 << 20
	lockFile    = "plugins.lock.hcl" // written by a command, not by people
)

// input is one configuration file.
type input struct {
	name string // as the user wrote it, or below the directory that they wrote
	src  []byte
	body *hclsyntax.Body // nil if the file is no text
}

// readInputs reads and parses what paths name and reports whether all of it is
// well-formed. read gets each file and directory that was looked at.
func readInputs(paths []string, r *report, read map[string]struct{}) ([]input, bool) {
	if len(paths) == 0 {
		r.errorf(hcl.Range{}, "No configuration", "Name at least one file or directory.")
		return nil, false
	}
	names, ok := expandPaths(paths, r, read)
	var inputs []input
	for _, name := range names {
		src, err := readFile(name, maxFileSize)
		if err != nil {
			r.errorf(hcl.Range{Filename: name}, "Cannot read the configuration", "%s.", sentence(err))
			ok = false
			continue
		}
		in := input{name: name, src: src}
		ok = in.parse(r) && ok
		inputs = append(inputs, in)
	}
	return inputs, ok
}

// expandPaths replaces each directory by the *.hcl files directly in it.
func expandPaths(paths []string, r *report, read map[string]struct{}) ([]string, bool) {
	var names []string
	seen := map[string]bool{}
	ok := true
	for _, path := range paths {
		path = filepath.Clean(path)
		files, err := listFiles(path)
		read[path] = struct{}{}
		if err != nil {
			r.errorf(hcl.Range{Filename: path}, "Cannot read the configuration", "%s.", sentence(err))
			ok = false
		}
		for _, f := range files {
			read[f] = struct{}{}
			if !seen[f] {
				seen[f] = true
				names = append(names, f)
			}
		}
	}
	return names, ok
}

// listFiles returns path, or the *.hcl files of the directory path, sorted.
func listFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case filepath.Base(path) == lockFile:
		return nil, fmt.Errorf("%s holds the checksums of plugins and is not configuration", lockFile)
	case !info.IsDir():
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		name := e.Name()
		if filepath.Ext(name) != ".hcl" || name == lockFile || strings.HasPrefix(name, ".") {
			continue
		}
		files = append(files, filepath.Join(path, name))
	}
	if len(files) == 0 {
		return nil, errors.New("the directory has no *.hcl file")
	}
	return files, nil
}

// readFile reads a regular file of at most limit bytes. It refuses pipes and
// devices, on which a read could block for ever.
func readFile(name string, limit int64) (src []byte, err error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	src, err = io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(src)) > limit {
		return nil, fmt.Errorf("it is larger than the limit of %d KiB", limit>>10)
	}
	return src, nil
}

// parse sets in.body, to what can be made out of a broken file, and reports
// whether the file is well-formed.
func (in *input) parse(r *report) bool {
	if !checkText(in.name, in.src, r) {
		return false
	}
	file, diags := hclsyntax.ParseConfig(in.src, in.name, hcl.InitialPos)
	if file != nil {
		in.body, _ = file.Body.(*hclsyntax.Body) // nil if there is none
	}
	return r.hcl(onePerLine(diags))
}

// onePerLine drops all but the first mistake of a line: in broken syntax the
// others follow from it. Each that is left gets a hint at the usual slip.
func onePerLine(diags hcl.Diagnostics) hcl.Diagnostics {
	slices.SortStableFunc(diags, func(a, b *hcl.Diagnostic) int { return offset(a) - offset(b) })
	var kept hcl.Diagnostics
	lines := map[int]bool{}
	for _, d := range diags {
		if d.Subject != nil {
			if lines[d.Subject.Start.Line] {
				continue
			}
			lines[d.Subject.Start.Line] = true
		}
		if hint, ok := hints[d.Summary]; ok {
			d.Detail += " " + hint
		}
		kept = append(kept, d)
	}
	return kept
}

func offset(d *hcl.Diagnostic) int {
	if d.Subject == nil {
		return 0
	}
	return d.Subject.Start.Byte
}

// hints says what usually lies behind a syntax error of HCL.
var hints = map[string]string{
	"Missing newline after argument":        "If the value is text, put it into double quotes.",
	"Invalid block definition":              "If this is an argument, put an equals sign after its name.",
	"Invalid multi-line string":             "Is a closing quote missing?",
	"Invalid expression":                    "Is a value missing?",
	"Unclosed configuration block":          "Is a closing brace missing?",
	"Argument or block definition required": "A configuration is made of blocks such as: sync \"NAME\" { source = ... }.",
}

// checkText finds what would make the parser report nonsense or overflow the
// stack: another encoding, or absurdly deep nesting.
func checkText(name string, src []byte, r *report) bool {
	whole := hcl.Range{Filename: name}
	switch {
	case bytes.HasPrefix(src, []byte("\xef\xbb\xbf")):
		r.errorf(whole, "Byte order mark", "The file starts with a byte order mark. Save it as UTF-8 without one.")
		return false
	case bytes.HasPrefix(src, []byte("\xff\xfe")), bytes.HasPrefix(src, []byte("\xfe\xff")):
		r.errorf(whole, "Not UTF-8", "The file is UTF-16. Save it as UTF-8.")
		return false
	case !utf8.Valid(src):
		r.errorf(invalidAt(name, src), "Not UTF-8", "The file holds bytes that are not UTF-8 text. Save it as UTF-8.")
		return false
	}
	if at, deep := tooDeep(name, src); deep {
		r.errorf(at, "Nested too deeply", "At most %d brackets may be open, and at most as many operators stand in one expression.", maxNesting)
		return false
	}
	return true
}

func invalidAt(name string, src []byte) hcl.Range {
	pos := hcl.InitialPos
	for pos.Byte < len(src) {
		c, size := utf8.DecodeRune(src[pos.Byte:])
		if c == utf8.RuneError && size == 1 {
			break
		}
		pos.Byte += size
		pos.Column++
		if c == '\n' {
			pos.Line, pos.Column = pos.Line+1, 1
		}
	}
	return hcl.Range{Filename: name, Start: pos, End: pos}
}

// sentence makes the text of err the start of a sentence, without the path,
// which the diagnostic names already.
func sentence(err error) string {
	msg := err.Error()
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		msg = pe.Err.Error()
	}
	return upperFirst(msg)
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
