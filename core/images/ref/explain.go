package ref

import (
	"fmt"
)

// explain turns the grammar's "invalid reference format" into what is wrong
// with which part.
func explain(s string, cause error) error {
	return fmt.Errorf("image %q: %w", s, cause)
}
