// Package diag is the vocabulary for problems that a user can fix.
//
// A Diagnostic says what is wrong (Summary), what to do about it (Detail) and
// where: by attribute path when it comes from a plugin, which never sees the
// configuration file, or by file range when the place is known. The host maps
// a path to a range, so that every problem is printed with file:line:column,
// the source line and a caret.
//
// The zero List means "no problem". A List is an error only if it holds at
// least one Diagnostic of severity Error; use List.Err to get an error value.
package diag

import (
	"errors"
	"fmt"
	"strings"
)

// Severity tells whether a Diagnostic stops what it is about.
type Severity int

const (
	Error Severity = iota
	Warning
)

// String returns "error" or "warning".
func (s Severity) String() string {
	if s == Warning {
		return "warning"
	}
	return "error"
}

// Step is one element of a Path: an attribute or block name, or an index into
// a list of blocks or values. A map key is a Name.
type Step struct {
	Name  string
	Index int // used when Name is empty
}

// Path leads from the root of a plugin's configuration to an attribute. The
// empty Path is the block itself.
type Path []Step

// Attr builds a Path from names (string) and indexes (int):
// Attr("auth", 0, "token") is auth[0].token. It panics on another type, which
// is a programmer's mistake.
func Attr(steps ...any) Path {
	p := make(Path, 0, len(steps))
	for _, s := range steps {
		switch s := s.(type) {
		case string:
			p = append(p, Step{Name: s})
		case int:
			p = append(p, Step{Index: s})
		default:
			panic(fmt.Sprintf("diag.Attr: step of type %T", s))
		}
	}
	return p
}

// String formats the path as the user would write it: auth[0].token.
func (p Path) String() string {
	var b strings.Builder
	for _, s := range p {
		switch {
		case s.Name == "":
			fmt.Fprintf(&b, "[%d]", s.Index)
		case b.Len() == 0:
			b.WriteString(s.Name)
		default:
			b.WriteString("." + s.Name)
		}
	}
	return b.String()
}

// Pos is a place in a file. Line and Column count from 1, Column in grapheme
// clusters as editors show them; Byte is the offset from the file's start.
// Column and Byte are 0 where only the line is known.
type Pos struct {
	Line   int `json:"line"`
	Column int `json:"column,omitempty"`
	Byte   int `json:"byte,omitempty"`
}

// Range is a part of a file; End is exclusive.
type Range struct {
	File  string `json:"file"`
	Start Pos    `json:"start"`
	End   Pos    `json:"end"`
}

// String returns file:line:column, leaving out what is not known.
func (r Range) String() string {
	switch {
	case r.Start.Line == 0:
		return r.File
	case r.Start.Column == 0:
		return fmt.Sprintf("%s:%d", r.File, r.Start.Line)
	}
	return fmt.Sprintf("%s:%d:%d", r.File, r.Start.Line, r.Start.Column)
}

// Diagnostic is one problem. Summary is one short line without a full stop;
// Detail says what is expected or what to do, in full sentences, and may be
// empty. Neither holds secret values.
type Diagnostic struct {
	Severity Severity
	Summary  string
	Detail   string
	Path     Path   // place in the plugin's configuration
	Subject  *Range // place in a file; wins over Path
}

// Error makes a Diagnostic an error of its own, so that open functions can
// simply return one.
func (d Diagnostic) Error() string {
	var b strings.Builder
	if d.Subject != nil {
		b.WriteString(d.Subject.String() + ": ")
	} else if len(d.Path) > 0 {
		b.WriteString(d.Path.String() + ": ")
	}
	b.WriteString(d.Summary)
	if d.Detail != "" {
		b.WriteString(": " + d.Detail)
	}
	return b.String()
}

// Errorf returns an Error about the attribute at path. The message becomes
// the Summary.
func Errorf(path Path, format string, args ...any) Diagnostic {
	return Diagnostic{Severity: Error, Path: path, Summary: fmt.Sprintf(format, args...)}
}

// Warningf returns a Warning about the attribute at path.
func Warningf(path Path, format string, args ...any) Diagnostic {
	return Diagnostic{Severity: Warning, Path: path, Summary: fmt.Sprintf(format, args...)}
}

// List holds problems in the order in which they were found.
type List []Diagnostic

// HasErrors reports whether l holds a Diagnostic of severity Error.
func (l List) HasErrors() bool {
	for _, d := range l {
		if d.Severity == Error {
			return true
		}
	}
	return false
}

// Err returns l as an error if it has errors, else nil. From recovers it.
func (l List) Err() error {
	if !l.HasErrors() {
		return nil
	}
	return listError(l)
}

// From extracts the diagnostics that err carries: a List returned by Err or a
// Diagnostic, wrapped or not. ok is false if err carries none.
func From(err error) (l List, ok bool) {
	if le, found := errors.AsType[listError](err); found {
		return List(le), true
	}
	if d, found := errors.AsType[Diagnostic](err); found {
		return List{d}, true
	}
	return nil, false
}

type listError List

func (l listError) Error() string {
	msgs := make([]string, 0, len(l))
	for _, d := range l {
		if d.Severity == Error {
			msgs = append(msgs, d.Error())
		}
	}
	return strings.Join(msgs, "; ")
}
