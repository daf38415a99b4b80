package schema

import (
	"errors"
	"fmt"
)

// Check reports what is wrong with a schema that was not made by Of, for
// example one that came from a plugin in another language: names that are not
// legal or not unique, contradictions, defaults that do not fit. The error
// names every mistake.
func (s *Schema) Check() error {
	if s == nil {
		return errors.New("there is no schema")
	}
	return s.check("", 0)
}

func (s *Schema) check(path string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%s: blocks nest deeper than %d", path, maxDepth)
	}
	var errs []error
	seen := map[string]bool{}
	name := func(n string) {
		if !validName.MatchString(n) {
			errs = append(errs, fmt.Errorf("%s%q is not a name; use lower case letters, digits and underscores", path, n))
		}
		if seen[n] {
			errs = append(errs, fmt.Errorf("%s%s is declared twice", path, n))
		}
		seen[n] = true
	}
	for _, a := range s.Attributes {
		name(a.Name)
		if err := a.check(); err != nil {
			errs = append(errs, fmt.Errorf("%s%s: %w", path, a.Name, err))
		}
	}
	for _, b := range s.Blocks {
		name(b.Name)
		errs = append(errs, b.check(path+b.Name, depth))
	}
	return errors.Join(errs...)
}

func (a Attribute) check() error {
	switch {
	case a.Required && a.Default != nil:
		return errors.New("is required and has a default")
	case a.Sensitive && a.Default != nil:
		return errors.New("is sensitive and has a default")
	case len(a.Enum) > 0 && a.Type.Kind != String:
		return errors.New("has an enum, but is no string")
	case a.Format != FormatNone && a.Type.Kind != String:
		return fmt.Errorf("has the format %s, but is no string", a.Format)
	}
	if a.Default == nil {
		return nil
	}
	v, err := parseJSON(a.Default)
	if err != nil {
		return fmt.Errorf("the default is not JSON: %w", err)
	}
	if text, ok := v.(string); ok && a.Format != FormatBytes {
		if err := checkText(text, a); err != nil {
			return fmt.Errorf("default %q: %w", text, err)
		}
	}
	return nil
}

func (b Block) check(path string, depth int) error {
	switch {
	case b.Nesting == Map && len(b.Labels) != 1:
		return fmt.Errorf("%s: has %d labels, needs one", path, len(b.Labels))
	case b.Nesting != Map && len(b.Labels) > 0:
		return fmt.Errorf("%s: has labels, but is no map", path)
	case b.Max > 0 && b.Min > b.Max:
		return fmt.Errorf("%s: must stand %d times and may stand %d times", path, b.Min, b.Max)
	case b.Nesting == Single && b.Max > 1:
		return fmt.Errorf("%s: is single, but may stand %d times", path, b.Max)
	}
	return b.Body.check(path+".", depth+1)
}
