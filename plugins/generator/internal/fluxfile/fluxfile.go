// Package fluxfile reads Flux v1's .flux.yaml: how the manifests of a path are
// generated, and how they are updated. It is as strict as Flux: what is not
// known is an error, with the line where it stands.
package fluxfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/sdk/diag"
)

// Name is what the file is called.
const Name = ".flux.yaml"

// File is what one .flux.yaml says. Either Scan is set or there are Generators.
type File struct {
	Path       string // relative to the tree, with slashes
	Scan       bool   // the manifests are plain files: scanForFiles
	Generators []Command
	Updaters   []Updater // of commandUpdated; may be none
	PatchFile  string    // of patchUpdated; relative to the directory that is rendered
}

// Command is one command line for the shell.
type Command struct {
	Text    string
	Line    int           // where it stands
	Timeout time.Duration // 0: none of its own
}

// Updater is how an image or a policy is changed in what the generators read.
type Updater struct {
	Image  *Command
	Policy *Command
}

// Find returns the file that is for dir, a directory of the tree at root, or
// that dir itself names: the one in dir or in the nearest directory above it,
// down to the root. It returns nil if there is none, and which files it has
// looked for.
func Find(root, dir string) (f *File, at string, looked []string, err error) {
	at = path.Clean(dir)
	if path.Base(at) == Name {
		at = path.Dir(at)
	}
	for d := at; ; d = path.Dir(d) {
		file := path.Join(d, Name)
		looked = append(looked, file)
		data, err := read(root, file)
		switch {
		case err == nil:
			f, err := Parse(file, data)
			return f, at, looked, err
		case !errors.Is(err, fs.ErrNotExist):
			return nil, at, looked, problem(file, 0, "it cannot be read: "+reason(err), "")
		case d == ".":
			return nil, at, looked, nil
		}
	}
}

// read reads a file below root, and nothing that a link leads to elsewhere.
func read(root, file string) ([]byte, error) {
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // only read from
	return r.ReadFile(filepath.FromSlash(file))
}

func reason(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}

func problem(file string, line int, summary, detail string) diag.Diagnostic {
	return diag.Diagnostic{Summary: summary, Detail: detail, Subject: &diag.Range{File: file, Start: diag.Pos{Line: line}}}
}

// At returns a place in the file for diagnostics.
func (f *File) At(line int) *diag.Range {
	return &diag.Range{File: f.Path, Start: diag.Pos{Line: line}}
}

// String names the command in errors, shortened.
func (c Command) String() string {
	text, more, _ := strings.Cut(strings.TrimSpace(c.Text), "\n")
	if r := []rune(text); len(r) > 80 {
		text, more = string(r[:80]), "more"
	}
	if more != "" {
		text += " ..."
	}
	return fmt.Sprintf("%q", text)
}
