//go:build unix

package pluginhost

import (
	"cmp"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
)

// BenchmarkStart measures the start of a plugin process, with mutual TLS and
// verified binary, to the answer to its first Open: of the test plugin, and of
// the plugins in $SLUICE_TEST_BIN.
func BenchmarkStart(b *testing.B) {
	b.Run("test", func(b *testing.B) {
		benchmarkStart(b, newTestHost(b, nil, "test"), "source", "test", config(b))
	})
	b.Run("git", func(b *testing.B) {
		repo := b.TempDir()
		if out, err := exec.CommandContext(b.Context(), "git", "init", "--quiet", repo).CombinedOutput(); err != nil {
			b.Fatalf("git init: %v: %s", err, out)
		}
		benchmarkStart(b, shippedHost(b), "source", "git", config(b, "url", "file://"+repo))
	})
	b.Run("kubernetes", func(b *testing.B) {
		kubeconfig := cmp.Or(os.Getenv("SLUICE_TEST_KUBECONFIG"), os.Getenv("KUBECONFIG"))
		if kubeconfig == "" {
			b.Skip("needs SLUICE_TEST_KUBECONFIG")
		}
		benchmarkStart(b, shippedHost(b), "applier", "kubernetes", config(b, "kubeconfig", kubeconfig))
	})
}

// shippedHost is a host of the built plugins.
func shippedHost(b *testing.B) *testHost {
	b.Helper()
	bin := os.Getenv("SLUICE_TEST_BIN")
	if bin == "" {
		b.Skip("needs SLUICE_TEST_BIN, the directory of the built plugins")
	}
	return newTestHost(b, func(o *Options, _ *timing) { o.Dirs = []string{bin} })
}

func benchmarkStart(b *testing.B, h *testHost, kind, typ string, config json.RawMessage) {
	b.Helper()
	if _, err := h.Lookup(kind, typ); err != nil { // describes the plugin, which is done once
		b.Fatal(err)
	}
	for b.Loop() {
		i, _, err := h.Open(b.Context(), kind, typ, kind+"."+typ+".a", config)
		if err != nil {
			b.Fatal(err)
		}
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
