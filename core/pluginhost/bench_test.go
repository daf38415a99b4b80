//go:build unix

package pluginhost

import (
	"testing"
)

// BenchmarkStart measures the start of a plugin process, with mutual TLS and
// verified binary, to the answer to its first Open.
func BenchmarkStart(b *testing.B) {
	h := newTestHost(b, nil, "test")
	if _, err := h.Lookup("source", "test"); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		i := h.open(b, "test", "a")
		b.StopTimer()
		if err := i.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
		h.awaitState(b, Stopped)
		b.StartTimer()
	}
}

// BenchmarkCall measures a call that does nothing.
func BenchmarkCall(b *testing.B) {
	h := newTestHost(b, nil, "test")
	i := h.open(b, "test", "a")
	for b.Loop() {
		resolve(b, i)
	}
}

// BenchmarkOpenExecutable measures the verification of a binary.
func BenchmarkOpenExecutable(b *testing.B) {
	path := testPlugin(b, "test")
	for b.Loop() {
		exe, err := new(checksums).open(path)
		if err != nil {
			b.Fatal(err)
		}
		if err := exe.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
