package config

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"regexp/syntax"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/sluice-gitops/sluice/sdk/diag"
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
		n, err := schema.ParseBytes(s)
		if err != nil {
			return nil, errors.New(`a size is a whole number of bytes, or a number and a unit, such as "64MiB" or "1.5GB"`)
		}
		return n, nil
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
	if best := diag.Nearest(s, allowed); best != "" {
		return fmt.Errorf("did you mean %q? Allowed are %s", best, strings.Join(allowed, ", "))
	}
	return fmt.Errorf("allowed are %s", strings.Join(allowed, ", "))
}
