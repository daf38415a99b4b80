// Package refusal is how the daemon turns a request down: an error that reads as
// one sentence and that a caller can tell apart by errors.Is, also on the other
// side of the API.
package refusal

import (
	"errors"
	"fmt"
)

// Kinds of refusals. The text of an error says which name or state it was.
var (
	ErrNotFound = errors.New("not found")
	ErrInvalid  = errors.New("invalid request")
	ErrConflict = errors.New("not possible now")
)

// refusal is one of the kinds in words that fit.
type refusal struct {
	kind error
	text string
}

func (r *refusal) Error() string        { return r.text }
func (r *refusal) Is(target error) bool { return target == r.kind }

// NotFound returns an error that is ErrNotFound: what was named is not there.
func NotFound(format string, args ...any) error { return of(ErrNotFound, format, args) }

// Invalid returns an error that is ErrInvalid: the request can never be served.
func Invalid(format string, args ...any) error { return of(ErrInvalid, format, args) }

// Conflict returns an error that is ErrConflict: the state of things is in the
// way.
func Conflict(format string, args ...any) error { return of(ErrConflict, format, args) }

func of(kind error, format string, args []any) error {
	return &refusal{kind: kind, text: fmt.Sprintf(format, args...)}
}
