package release

import "errors"

// ErrNoValues says that a ConfigMap, Secret or key does not exist, or a file or
// a page.
var ErrNoValues = errors.New("no such values")
