package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"regexp"
	"regexp/syntax"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/sluice-gitops/sluice/sdk/schema"
)

// checkFormat returns the JSON form of s, or an error that ends the sentence
// `"..." is no value for "NAME":`. The error never holds s, which may be a secret.
func (l *loader) checkFormat(s string, f schema.Format, at hcl.Range) (any, error) {
	switch f {
	case schema.FormatNone:
		return s, nil
	case schema.FormatDuration:
		return s, checkDuration(s)
	case schema.FormatBytes:
		return parseBytes(s)
	case schema.FormatURL:
		return s, checkURL(s)
	case schema.FormatRegexp:
		return s, checkRegexp(s)
	case schema.FormatPath:
		if s == "" {
			return nil, errors.New("a path cannot be empty")
		}
		return l.absolute(s, at)
	}
	return nil, fmt.Errorf("the plugin's schema asks for the format %q, which this version does not know", f)
}

func checkDuration(s string) error {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return errors.New(`a duration is a number and a unit, such as "30s", "5m" or "1h30m"`)
	case d < 0:
		return errors.New("a duration cannot be negative")
	}
	return nil
}

// byteUnits are the units of a size, the longer first where one ends another.
var byteUnits = []struct {
	suffix string
	factor int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1},
}

// decimal is what stands before the unit; big.Rat would take fractions and
// huge exponents too.
var decimal = regexp.MustCompile(`^[0-9]{1,18}(\.[0-9]{1,9})?$`)

// parseBytes reads a size such as "64MiB" as a whole number of bytes.
func parseBytes(s string) (json.Number, error) {
	for _, unit := range byteUnits {
		digits, ok := strings.CutSuffix(s, unit.suffix)
		digits = strings.TrimSpace(digits)
		if !ok || !decimal.MatchString(digits) {
			continue
		}
		n, _ := new(big.Rat).SetString(digits)
		n.Mul(n, new(big.Rat).SetInt64(unit.factor))
		if !n.IsInt() || !n.Num().IsInt64() {
			break
		}
		return json.Number(n.Num().String()), nil
	}
	return "", errors.New(`a size is a whole number of bytes, or a number and a unit, such as "64MiB" or "1.5GB"`)
}

// scpLike is git's short form of an ssh URL: user@host:path.
var scpLike = regexp.MustCompile(`^[\w.+-]+@[\w.\[\]:-]+:[^/].*$`)

func checkURL(s string) error {
	if scpLike.MatchString(s) {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || (u.Host == "" && u.Path == "") {
		return errors.New(`a URL has a scheme and a host, such as "https://example.com/path"`)
	}
	return nil
}

func checkRegexp(s string) error {
	_, err := regexp.Compile(s)
	if se, ok := errors.AsType[*syntax.Error](err); ok {
		return fmt.Errorf("the regular expression does not parse (%s)", se.Code)
	}
	return err
}

func oneOf(allowed []string, s string) error {
	if best := nearest(s, allowed); best != "" {
		return fmt.Errorf("did you mean %q? Allowed are %s", best, strings.Join(allowed, ", "))
	}
	return fmt.Errorf("allowed are %s", strings.Join(allowed, ", "))
}
