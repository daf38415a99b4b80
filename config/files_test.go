package config_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/config"
)

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(path("large.hcl"), bytes.Repeat([]byte("#\n"), 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path("plugins.lock.hcl"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", path("link.hcl")); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ path, want string }{
		{path("missing.hcl"), "No such file or directory."},
		{path("link.hcl"), "No such file or directory."},
		{path("large.hcl"), "It is larger than the limit of 1024 KiB."},
		{path("plugins.lock.hcl"), "plugins.lock.hcl holds the checksums of plugins and is not configuration."},
		{os.DevNull, "It is not a regular file."},
	}
	for _, tt := range tests {
		cfg, diags := config.Load([]string{tt.path}, options())
		if len(diags) != 1 || !strings.EqualFold(diags[0].Detail, tt.want) || diags[0].Subject.File != tt.path {
			t.Errorf("%s: got %v, want one diagnostic: %s", tt.path, diags, tt.want)
		}
		if diff := cmp.Diff([]string{tt.path}, cfg.Paths()); diff != "" {
			t.Errorf("paths to watch (-want +got):\n%s", diff)
		}
	}
	if _, diags := config.Load(nil, options()); !diags.HasErrors() {
		t.Error("no error for no configuration at all")
	}
}

// TestPaths wants every input to be watched: files, directories, and what
// file() reads, even where it is missing.
func TestPaths(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"conf/a.hcl": "source \"git\" \"shop\" {\n  url = trimspace(file(\"../url.txt\"))\n  branch = try(file(\"/no/such/file\"), \"main\")\n}\n",
		"conf/b.hcl": "sync \"shop\" { source = source.git.shop }\n",
		"url.txt":    "https://git.example.com/shop.git\n",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	conf := filepath.Join(dir, "conf")
	cfg, diags := config.Load([]string{conf, filepath.Join(conf, "a.hcl")}, options())
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	want := []string{"/no/such/file", conf, filepath.Join(conf, "a.hcl"), filepath.Join(conf, "b.hcl"), filepath.Join(dir, "url.txt")}
	if diff := cmp.Diff(want, cfg.Paths()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(cfg.Sources) != 1 || len(cfg.Syncs) != 1 {
		t.Errorf("a file named twice is read twice: %d sources, %d syncs", len(cfg.Sources), len(cfg.Syncs))
	}
}

func TestBudget(t *testing.T) {
	tests := []struct {
		budget   config.Budget
		n, total int
		want     bool
	}{
		{config.DefaultBudget, 10, 10, false},
		{config.DefaultBudget, 11, 55, false},
		{config.DefaultBudget, 11, 54, true},
		{config.Budget{Count: 5}, 5, 100, false},
		{config.Budget{Count: 5}, 6, 100, true},
		{config.Budget{Percent: 20}, 1, 5, false},
		{config.Budget{Percent: 20}, 1, 4, true},
		{config.Budget{Percent: 100}, 4, 4, false},
		{config.Budget{}, 0, 4, false},
		{config.Budget{}, 1, 4, true},
	}
	for _, tt := range tests {
		if got := tt.budget.Exceeded(tt.n, tt.total); got != tt.want {
			t.Errorf("%v: Exceeded(%d, %d) = %v", tt.budget, tt.n, tt.total, got)
		}
	}
}

// TestBrokenFilesStillTellTheSettings keeps the way to a running daemon open.
func TestBrokenFilesStillTellTheSettings(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"after.hcl":  "sluice {\n  data_dir = \"/srv/sluice\"\n}\nsync \"x\" {\n",
		"binary.hcl": "\x00\xff",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := func(name string) (string, bool) { return "/home/u", name == "HOME" }
	for file, want := range map[string]string{
		"after.hcl":   "unix:///srv/sluice/api.sock",
		"binary.hcl":  "unix:///home/u/.local/state/sluice/api.sock",
		"missing.hcl": "unix:///home/u/.local/state/sluice/api.sock",
	} {
		c, diags := config.Load([]string{filepath.Join(dir, file)}, config.Options{Env: env})
		if !diags.HasErrors() {
			t.Errorf("%s: no error", file)
		}
		if got := c.Settings.API.Listen; got != want {
			t.Errorf("%s: listens at %q, want %q", file, got, want)
		}
	}
}
