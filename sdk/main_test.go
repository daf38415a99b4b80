package sdk_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/conformance"
)

// TestMain makes the test binary a plugin when a host starts it, and when it
// is asked to describe itself.
func TestMain(m *testing.M) {
	if os.Getenv(asPlugin) != "" {
		sdk.Main(dirPlugin)
	}
	goleak.VerifyTestMain(m)
}

// asPlugin is set in the environment of the test binary to make it a plugin.
const asPlugin = "SLUICE_TEST_AS_PLUGIN"

type dirConfigJSON struct {
	Path string `json:"path"`
}

// digest hashes the names and the content of a tree.
func digest(tree fs.FS) (string, error) {
	h := sha256.New()
	err := fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(tree, path)
		fmt.Fprintf(h, "%q %d\n%s", path, len(content), content)
		return err
	})
	return fmt.Sprintf("%x", h.Sum(nil)), err
}

// TestBinary runs the whole suite against a process.
func TestBinary(t *testing.T) {
	tree := t.TempDir()
	if err := os.WriteFile(filepath.Join(tree, "a.yaml"), []byte("kind: A\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &conformance.Subject{
		Kind: client.KindSource, Type: "dir",
		Config: fmt.Appendf(nil, `{"path": %q}`, tree),
		Start:  conformance.Binary(os.Args[0], asPlugin+"=1"),
	}
	var skipped []string
	ok := conformance.Run(t.Context(), s, func(r conformance.Result) {
		switch r.Outcome {
		case conformance.Skipped:
			skipped = append(skipped, r.Name)
		case conformance.Failed:
			t.Errorf("%s: %v", r.Name, r.Messages)
		}
	})
	if !ok {
		t.Error("Run says that a check failed")
	}
	want := []string{
		"source-logs-history", "source-watches",
		"source-commits", "source-commits-nothing-twice", "source-keeps-what-others-wrote", "source-refuses-paths-outside",
		"source-proposes-on-a-branch", "source-marks", "keeps-secrets-out-of-the-log",
	}
	if !slices.Equal(skipped, want) {
		t.Errorf("skipped %v, want %v", skipped, want)
	}
}

func TestBinaryThatIsNoPlugin(t *testing.T) {
	_, err := conformance.Binary("/bin/true")(t.Context())
	if err == nil {
		t.Fatal("/bin/true passes for a plugin")
	}
}

func TestRetryHintsOfNil(t *testing.T) {
	if sdk.Permanent(nil) != nil || sdk.RetryAfter(nil, 1) != nil {
		t.Error("nil became an error")
	}
	if sdk.IsPermanent(errors.New("x")) {
		t.Error("an error is permanent by itself")
	}
}
