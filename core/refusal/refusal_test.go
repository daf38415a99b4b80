package refusal

import (
	"errors"
	"fmt"
	"testing"
)

func TestKinds(t *testing.T) {
	kinds := []error{ErrNotFound, ErrInvalid, ErrConflict}
	for i, refused := range []func(string, ...any) error{NotFound, Invalid, Conflict} {
		err := refused("there is no %q", "web")
		if err.Error() != `there is no "web"` {
			t.Errorf("%v: %q", kinds[i], err)
		}
		for k, kind := range kinds {
			if got := errors.Is(fmt.Errorf("why: %w", err), kind); got != (k == i) {
				t.Errorf("a %v is a %v: %v", kinds[i], kind, got)
			}
		}
	}
}
