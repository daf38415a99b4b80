package applier

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
)

// Items reads the file Objects, however long its lines are. It ends after the
// first error; what came before it is then not the whole set. Numbers are
// json.Number, so that none loses digits.
func (s Set) Items() iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		f, err := os.Open(s.Objects)
		if err != nil {
			yield(Item{}, fmt.Errorf("objects to apply: %w", err))
			return
		}
		defer func() { _ = f.Close() }() // only read from
		dec := json.NewDecoder(f)
		dec.UseNumber()
		for n := 1; ; n++ {
			var item Item
			err := dec.Decode(&item)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield(Item{}, fmt.Errorf("objects to apply: number %d in %s: %w", n, s.Objects, err))
				return
			}
			if !yield(item, nil) {
				return
			}
		}
	}
}
