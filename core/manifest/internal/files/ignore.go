package files

import (
	"errors"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// ignoreFileName lists what is not for the cluster, as .gitignore lists what
// is not for git.
const ignoreFileName = ".sluiceignore"

// bom is the byte order mark that some editors begin a file with.
const bom = "\ufeff"

// rules are the patterns of a directory's ignore file and of those above it.
type rules struct {
	parent   *rules
	base     string // the directory, as prefix of the paths below it
	patterns []pattern
}

type pattern struct {
	form    *regexp.Regexp // of paths relative to the base
	negated bool
	dirOnly bool
}

// match reports whether the file or directory p is to be left out. Of all
// patterns that match, the last of the nearest ignore file decides.
func (r *rules) match(p string, dir bool) bool {
	for ; r != nil; r = r.parent {
		rel := strings.TrimPrefix(p, r.base)
		for i := len(r.patterns) - 1; i >= 0; i-- {
			if pat := r.patterns[i]; (dir || !pat.dirOnly) && pat.form.MatchString(rel) {
				return !pat.negated
			}
		}
	}
	return false
}

// ignoreFile returns parent with the rules of dir's ignore file, if it has one.
func (w *Walker) ignoreFile(dir string, parent *rules) *rules {
	file := path.Join(dir, ignoreFileName)
	data, err := w.Read(file, 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return parent
	}
	if err != nil {
		w.unreadable(file, err)
		return parent
	}
	r := &rules{parent: parent}
	if dir != "." {
		r.base = dir + "/"
	}
	number := 0
	for line := range strings.Lines(strings.TrimPrefix(string(data), bom)) {
		number++
		p, ok, err := newPattern(line)
		if err != nil {
			w.Problems = append(w.Problems, diag.Diagnostic{
				Summary: "the pattern is not valid", Detail: sentence(err),
				Subject: &diag.Range{File: file, Start: diag.Pos{Line: number}, End: diag.Pos{Line: number}},
			})
		} else if ok {
			r.patterns = append(r.patterns, p)
		}
	}
	return r
}

// newPattern reads a line of an ignore file. ok is false if it holds none.
func newPattern(line string) (p pattern, ok bool, err error) {
	line = strings.TrimRight(line, "\r\n")
	if trimmed := strings.TrimRight(line, " \t"); !strings.HasSuffix(trimmed, `\`) {
		line = trimmed
	}
	if line == "" || line[0] == '#' {
		return p, false, nil
	}
	if line, p.negated = strings.CutPrefix(line, "!"); p.negated && line == "" {
		return p, false, nil
	}
	line, p.dirOnly = strings.CutSuffix(line, "/")
	anchored := strings.Contains(line, "/")
	line = strings.TrimPrefix(line, "/")
	form := translate(line)
	if !anchored {
		form = "(?:.*/)?" + form
	}
	p.form, err = regexp.Compile("^" + form + "$")
	return p, err == nil, err
}

// translate returns the regular expression of a glob, in which ** matches
// across directories.
func translate(glob string) string {
	var b strings.Builder
	for glob != "" {
		switch {
		case strings.HasPrefix(glob, "**/") && (b.Len() == 0 || strings.HasSuffix(b.String(), "/")):
			b.WriteString("(?:.*/)?")
			glob = glob[3:]
		case glob == "**" && (b.Len() == 0 || strings.HasSuffix(b.String(), "/")):
			b.WriteString(".+")
			glob = ""
		case glob[0] == '*':
			b.WriteString("[^/]*")
			glob = strings.TrimLeft(glob, "*")
		case glob[0] == '?':
			b.WriteString("[^/]")
			glob = glob[1:]
		case glob[0] == '[' && strings.IndexByte(glob[1:], ']') > 0:
			end := 1 + strings.IndexByte(glob[1:], ']')
			class := strings.ReplaceAll(glob[1:end], `\`, `\\`)
			if class[0] == '!' {
				class = "^" + class[1:]
			}
			b.WriteString("[" + class + "]")
			glob = glob[end+1:]
		case glob[0] == '\\' && len(glob) > 1:
			b.WriteString(regexp.QuoteMeta(glob[1:2]))
			glob = glob[2:]
		default:
			b.WriteString(regexp.QuoteMeta(glob[:1]))
			glob = glob[1:]
		}
	}
	return b.String()
}
