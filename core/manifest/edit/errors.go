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
	Line   int // of the file, from 1
	Reason string
}

func (e *RefusedError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }
