package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

func TestProblemOfMirroredSourceNamesBothURLs(t *testing.T) {
	s := &sourceNode{original: "https://git.example.com/shop", mirror: "oci://mirror.internal/shop"}
	err := s.named(config.PluginConfig{}, diag.List{diag.Errorf(diag.Attr("url"), "of no known scheme")}.Err())
	const want = "oci://mirror.internal/shop stands in for https://git.example.com/shop"
	if !strings.Contains(err.Error(), want) {
		t.Errorf("%q does not say %q", err, want)
	}
	if problems := problemsOf(err); len(problems) != 1 || problems[0].Detail != want {
		t.Errorf("%+v, want one that says %q", problems, want)
	}
}

func TestCertificatesOfMirrorsArePrivate(t *testing.T) {
	e := &Engine{dataDir: t.TempDir()}
	path := e.pemFile("a key")
	if got := readPrivate(t, filepath.Join(e.dataDir, "certificates"), path); got != "a key" {
		t.Errorf("%s holds %q", path, got)
	}
	if other := e.pemFile("another key"); other == path {
		t.Error("two keys are in one file")
	}
}

// readPrivate reads a file of dir that nobody else may read.
func readPrivate(t *testing.T, dir, path string) string {
	t.Helper()
	if !strings.HasPrefix(path, dir+string(filepath.Separator)) {
		t.Errorf("%s is not in %s", path, dir)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %s", info.Mode())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
