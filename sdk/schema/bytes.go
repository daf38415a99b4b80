package schema

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// units in the order in which FormatBytes tries them.
var units = []struct {
	suffix string
	size   float64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1},
}

// ParseBytes reads a number of bytes with a unit: "64MiB", "1.5GB", "512".
func ParseBytes(s string) (int64, error) {
	number, size := strings.TrimSpace(s), 1.0
	for _, u := range units {
		if rest, ok := strings.CutSuffix(number, u.suffix); ok {
			number, size = strings.TrimSpace(rest), u.size
			break
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || math.IsNaN(v) {
		return 0, errors.New(`a number of bytes is required, like "64MiB"`)
	}
	v *= size
	switch {
	case v < 0:
		return 0, errors.New("a number of bytes is not negative")
	case v >= math.MaxInt64:
		return 0, errors.New("the number of bytes is too large")
	case v != math.Trunc(v):
		return 0, fmt.Errorf("%s is not a whole number of bytes", s)
	}
	return int64(v), nil
}
