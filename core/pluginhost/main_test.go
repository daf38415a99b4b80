//go:build unix

package pluginhost

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/sdk/handshake"
)

// TestMain lets the test binary be the plugins of its tests: called by a name
// sluice-plugin-X it is the plugin X of the table below.
func TestMain(m *testing.M) {
	if name, ok := strings.CutPrefix(filepath.Base(os.Args[0]), handshake.BinaryPrefix); ok {
		run, known := hostile[name]
		if !known {
			panic("no test plugin " + name)
		}
		run()
		os.Exit(0)
	}
	for _, kv := range ownEnv(os.TempDir()) {
		name, _, _ := strings.Cut(kv, "=")
		baseEnv = append(baseEnv, name)
	}
	goleak.VerifyTestMain(m)
}

// ownEnv is what processes of a test binary need for themselves: with -race
// not to take a second to exit, with -cover not to complain when they do.
func ownEnv(coverage string) []string {
	return []string{"GORACE=atexit_sleep_ms=0", "GOCOVERDIR=" + coverage}
}

// testPlugin makes the test binary available as plugin name in a directory of
// its own, and returns the path.
func testPlugin(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), handshake.BinaryPrefix+name)
	linkTestPlugin(t, path)
	return path
}

func linkTestPlugin(t testing.TB, path string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
}
