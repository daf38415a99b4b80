// Package digest identifies values, so that a change of one is noticed without
// keeping it, also by a later process: records on disk hold digests.
package digest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Of identifies values by their JSON, in 24 hexadecimal digits. It tells nothing
// of them, so they may hold secrets. What has no JSON is a mistake of the
// program's and panics.
func Of(values ...any) string {
	h := sha256.New()
	for _, v := range values {
		b, err := json.Marshal(v)
		if err != nil {
			panic(fmt.Sprintf("digest: of %T: %v", v, err)) // values are ours
		}
		h.Write(append(b, 0))
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}
