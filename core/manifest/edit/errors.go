package edit

import (
	"errors"
	"fmt"
)

// ErrNotFound says that what an Edit names is not there.
var ErrNotFound = errors.New("not found")

// ChangedError says that another image is there than the Edit expects.
type ChangedError struct{ Want, Have string }

func (e *ChangedError) Error() string {
	return fmt.Sprintf("the image is %s and not %s any more", e.Have, e.Want)
}

// RefusedError says that an edit cannot be made without changing something
// else, or cannot be made safely.
type RefusedError struct {
	File   string // relative to the root of the tree, with slashes; "" from Apply of one file
	Line   int    // of the file, from 1
	Reason string
}

func (e *RefusedError) Error() string {
	if e.File == "" {
		return fmt.Sprintf("line %d: %s", e.Line, e.Reason)
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Reason)
}

// inFile returns err with the file that it is about.
func inFile(file string, err error) error {
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		return &RefusedError{File: file, Line: refused.Line, Reason: refused.Reason}
	}
	return fmt.Errorf("%s: %w", file, err)
}
