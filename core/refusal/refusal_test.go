package refusal

import (
	"errors"
	"fmt"
	"testing"
)

func TestKinds(t *testing.T) {
	for kind, err := range map[error]error{
		ErrNotFound: NotFound("there is no %q", "web"), ErrInvalid: Invalid("there is no %q", "web"), ErrConflict: Conflict("there is no %q", "web"),
	} {
		if err.Error() != `there is no "web"` {
			t.Errorf("%v: %q", kind, err)
		}
		for _, other := range []error{ErrNotFound, ErrInvalid, ErrConflict} {
			if got := errors.Is(fmt.Errorf("why: %w", err), other); got != (other == kind) {
				t.Errorf("%v is %v: %v", err, other, got)
			}
		}
	}
}
