// Package wire converts between the values that authors and hosts use and the
// messages of the plugin protocol, both ways, side by side, one file a
// service. All functions are pure.
//
// A message may come from a plugin in another language or from another
// version of this SDK, so that nothing in it is taken for granted: missing
// parts are zero values and an enum that is not known is an error. Text that
// is not valid UTF-8, which protobuf cannot carry, is repaired with U+FFFD.
package wire

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// text makes s fit for a protobuf string.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func texts(list []string) []string {
	if list == nil {
		return nil
	}
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = text(s)
	}
	return out
}

func textMap(m map[string]string) map[string]string {
	if m == nil {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[text(k)] = text(v)
	}
	return out
}

// timeToProto keeps the zero time apart from 1970.
func timeToProto(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func timeFromProto(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func durationToProto(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

func durationFromProto(d *durationpb.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return d.AsDuration()
}

// enum maps the values of a Go enumeration to those of a protobuf one.
type enum[G comparable, P ~int32] struct {
	name    string
	toProto map[G]P
	toGo    map[P]G
}

func newEnum[G comparable, P ~int32](name string, values map[G]P) enum[G, P] {
	e := enum[G, P]{name: name, toProto: values, toGo: make(map[P]G, len(values))}
	for g, p := range values {
		e.toGo[p] = g
	}
	return e
}

func (e enum[G, P]) encode(g G) (P, error) {
	p, ok := e.toProto[g]
	if !ok {
		return 0, fmt.Errorf("unknown %s %q", e.name, fmt.Sprint(g))
	}
	return p, nil
}

func (e enum[G, P]) decode(p P) (G, error) {
	g, ok := e.toGo[p]
	if !ok {
		return g, fmt.Errorf("unknown %s %d on the wire: the other side may be newer", e.name, p)
	}
	return g, nil
}

// each converts the elements of a list; nil stays nil.
func each[A, B any](list []A, convert func(A) B) []B {
	if list == nil {
		return nil
	}
	out := make([]B, len(list))
	for i, a := range list {
		out[i] = convert(a)
	}
	return out
}

// tryEach is each for conversions that can fail.
func tryEach[A, B any](list []A, convert func(A) (B, error)) ([]B, error) {
	if list == nil {
		return nil, nil
	}
	out := make([]B, len(list))
	for i, a := range list {
		b, err := convert(a)
		if err != nil {
			return nil, err
		}
		out[i] = b
	}
	return out, nil
}
