package install

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

var (
	label    = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	fileName = regexp.MustCompile(`^[-._a-zA-Z0-9]{1,253}$`)
	quantity = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?([EPTGMk]i?|Ki)?$`)
)

// maxConfig is how much a ConfigMap or Secret holds.
const maxConfig = 1 << 20

// check says what the API server would refuse, or would not notice.
func (o Options) check() error {
	for _, namespace := range append([]string{o.Namespace}, o.Rights.Namespaces...) {
		if !label.MatchString(namespace) {
			return fmt.Errorf("%q is not the name of a namespace", namespace)
		}
	}
	switch {
	case o.Image == "" || strings.ContainsAny(o.Image, " \t\r\n"):
		return fmt.Errorf("%q is not an image", o.Image)
	case o.Storage != "" && !quantity.MatchString(o.Storage):
		return fmt.Errorf("%q is not a size: want one such as 1Gi", o.Storage)
	case o.Listen != "" && o.socket() == "":
		return fmt.Errorf("the API listens at %q, which no pod can: want unix:///path", o.Listen)
	case len(o.Config) == 0:
		return errors.New("there is no configuration")
	}
	size := 0
	for _, file := range slices.Sorted(maps.Keys(o.Config)) {
		if size += len(file) + len(o.Config[file]); !fileName.MatchString(file) {
			return fmt.Errorf("%q cannot be the name of a file in a ConfigMap: want letters, digits, '-', '_' and '.'", file)
		}
	}
	if size > maxConfig {
		return fmt.Errorf("the configuration is larger than %d KiB, which is all that a ConfigMap holds", maxConfig>>10)
	}
	return nil
}

// socket is the path of the API's socket, empty if it is none.
func (o Options) socket() string {
	if o.Listen == "" {
		return DataDir + "/api.sock"
	}
	path, found := strings.CutPrefix(o.Listen, "unix://")
	if !found || !strings.HasPrefix(path, "/") {
		return ""
	}
	return path
}
