// Package renderer is the contract of renderer plugins: they turn the files of
// a source into the manifests that an applier takes, where those do not stand
// in the files as they are.
//
// Rendering is pure: the same files and paths give the same manifests, so that
// a host need not render again what it has rendered before. Whatever is wrong
// with one of the paths fails the call: a host that gets half of what is
// wanted would take the other half for deleted.
package renderer

import (
	"context"

	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// Renderer is one configured way to render. Methods may be called at the same
// time from several goroutines.
type Renderer interface {
	// Render writes the manifests that req asks for into req.Out. It changes
	// nothing below req.Dir, which other calls read at the same time. An error
	// says which path and which file it is about; one that the user can fix
	// carries diagnostics whose Subject names that file.
	Render(ctx context.Context, req Request) (Result, error)
}

// Request says what to render.
type Request struct {
	// Dir is the absolute path of the source's tree. Nothing outside it
	// belongs to the source: links and paths that lead out of it are refused.
	Dir string
	// Paths are what to render below Dir: relative, with slashes, "." for Dir
	// itself. Never empty.
	Paths []string
	// Out is the absolute path of an existing empty directory for .yaml and
	// .json files, of any names, also in directories below. They are read in
	// the order of their names, as plain manifests are: names that begin with a
	// dot are left out, and so are Helm charts and what a .sluiceignore names.
	Out string
	// Namespace is that of objects that name none, empty if there is no such.
	Namespace string
}

// Result is what Render has to say beside the files in Request.Out.
type Result struct {
	// Files were read to render, relative to Request.Dir, with slashes. They
	// include those that were looked for in vain. Nil means that it is not
	// known: any file may matter.
	Files []string
	// Origins tells where the content of a file in Request.Out comes from, by
	// its path there, with slashes.
	Origins map[string]Origin
	// Diagnostics are warnings. Their Subjects name files relative to
	// Request.Dir.
	Diagnostics diag.List
}

// Origin is a place in the source's files.
type Origin struct {
	File string // relative to Request.Dir, with slashes
	// Line is where the objects of the rendered file are said to stand, from 1;
	// 1 if no better one is known. 0 says that the file is a copy of File, line
	// by line: it is also edited there.
	Line int
}

// Updater is a Renderer that can turn intentions about what it renders into
// edits of the files that it renders from.
type Updater interface {
	// Update works out the edits that make each change come true. Changes are
	// independent: one that cannot be made leaves the others. An error is
	// about the call as a whole.
	Update(ctx context.Context, req UpdateRequest) (UpdateResult, error)
}

// UpdateRequest says what to change.
type UpdateRequest struct {
	// Request is as for Render, but Dir is a copy of the tree for this call
	// alone, which may be written to. The host throws it away afterwards.
	Request
	Changes []Change
}

// Change is one intention about one workload: a new image of a container, or
// an annotation.
type Change struct {
	Workload   applier.Ref
	Container  string  // with Image
	Image      string  // the new reference: name[:tag][@digest]
	Annotation string  // its key; without Container and Image
	Value      *string // of the annotation; nil removes it
}

// UpdateResult is what came of an UpdateRequest.
type UpdateResult struct {
	// Edits are those of the changes that could be made, each file once. Old
	// is the content before the call.
	Edits []source.Edit
	// Errors tells of each change, in the order of UpdateRequest.Changes, why
	// it could not be made: what is wrong and what to do. Empty means that it
	// was made, or that it is so already.
	Errors []string
}
