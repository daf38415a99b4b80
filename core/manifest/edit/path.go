package edit

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// path leads to fields: keys, indexes and "every element".
type path []step

type step struct {
	key   string
	index int  // of a sequence, if key is empty
	every bool // element of a sequence
}

// parsePath reads a dotted path: a.b, a.0.b, a[0].b, a[*].b, a["b.c"]. It may
// begin with $ or a dot, as JSON paths do.
func parsePath(s string) (path, error) {
	var p path
	rest := strings.TrimPrefix(strings.TrimPrefix(s, "$"), ".")
	for rest != "" {
		var st step
		var err error
		if rest[0] == '[' {
			st, rest, err = bracket(rest)
		} else {
			n := strings.IndexAny(rest, ".[")
			if n < 0 {
				n = len(rest)
			}
			st, rest = step{key: rest[:n]}, rest[n:]
			if st.key == "" {
				err = fmt.Errorf("an empty name")
			}
		}
		if err != nil {
			return nil, fmt.Errorf("path %q: %w", s, err)
		}
		p = append(p, st)
		if rest != "" && rest[0] == '.' {
			if rest = rest[1:]; rest == "" {
				return nil, fmt.Errorf("path %q: it ends with a dot", s)
			}
		}
	}
	if len(p) == 0 {
		return nil, fmt.Errorf("path %q names nothing", s)
	}
	return p, nil
}

// bracket reads [0], [*] or ["key"].
func bracket(s string) (st step, rest string, err error) {
	if len(s) > 1 && (s[1] == '"' || s[1] == '\'') {
		end := strings.Index(s[2:], string(s[1])+"]")
		if end <= 0 {
			return st, "", fmt.Errorf("%s lacks a name or its end", s)
		}
		return step{key: s[2 : 2+end]}, s[2+end+2:], nil
	}
	inner, rest, ok := strings.Cut(s[1:], "]")
	if !ok {
		return st, "", fmt.Errorf("%s lacks its ]", s)
	}
	if inner == "*" {
		return step{every: true}, rest, nil
	}
	st.index, err = strconv.Atoi(inner)
	if err != nil || st.index < 0 {
		return st, "", fmt.Errorf("[%s] is no index", inner)
	}
	return st, rest, nil
}

// maxFollowed bounds how many places one path may lead to.
const maxFollowed = 1000

// follow returns the fields that the path leads to from f.
func (p path) follow(f field) []field {
	fields := []field{f}
	for _, st := range p {
		var next []field
		for _, f := range fields {
			next = append(next, st.follow(f)...)
		}
		fields = next[:min(len(next), maxFollowed)]
	}
	return fields
}

func (st step) follow(f field) []field {
	items := f.items()
	index := st.index
	switch n, err := strconv.Atoi(st.key); {
	case st.every:
		return items
	case st.key != "" && (err != nil || n < 0 || items == nil):
		if child := f.get(st.key); child.node != nil {
			return []field{child}
		}
		return nil
	case st.key != "":
		index = n
	}
	if index < len(items) {
		return items[index : index+1]
	}
	return nil
}

// first returns the first of some fields, or one that is not there.
func first(fields []field) field {
	if len(fields) == 0 {
		return field{}
	}
	return fields[0]
}

// kindImages returns the images of an object of a declared kind.
func (o *object) kindImages(k Kind) (list []*image) {
	lists := func(paths []string, init bool) {
		for _, p := range paths {
			for _, f := range o.follow(p) {
				list = append(list, containers(f, FormKind, init)...)
			}
		}
	}
	lists(k.Containers, false)
	for _, name := range slices.Sorted(maps.Keys(k.Images)) {
		for _, f := range o.follow(k.Images[name]) {
			if s, ok := f.text(); ok && s != "" {
				list = append(list, &image{name: name, form: FormKind, ref: f})
			} else if im := imageIn(f); im != nil {
				im.name, im.form = name, FormKind
				list = append(list, im)
			}
		}
	}
	lists(k.InitContainers, true)
	return list
}

// follow returns the fields that a path of a Kind leads to; one that is not
// valid, which the configuration does not let through, leads nowhere.
func (o *object) follow(p string) []field {
	parsed, err := parsePath(p)
	if err != nil {
		return nil
	}
	return parsed.follow(o.field)
}
