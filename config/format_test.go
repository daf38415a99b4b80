package config_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/config"
)

func TestFormat(t *testing.T) {
	tests := map[string]struct{ src, want string }{
		"empty":     {"", ""},
		"blank":     {"\n\n", ""},
		"alignment": {"a {\nx=1\n  long = [1,2]\n}", "a {\n  x    = 1\n  long = [1, 2]\n}\n"},
		"comments":  {"# top\n\na { # after\n// inside\nx = 1 /* here */\n}\n\n\n# end", "# top\n\na { # after\n  // inside\n  x = 1 /* here */\n}\n\n\n# end\n"},
		"windows":   {"a {\r\n  x = 1\r\n}\r\n", "a {\n  x = 1\n}\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, diags := config.Format([]byte(tt.src))
			if len(diags) > 0 {
				t.Fatal(diags)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFormatRefusesWhatDoesNotParse(t *testing.T) {
	for _, src := range []string{"a {", "a = ", "\xff", "\xef\xbb\xbfa {}"} {
		if got, diags := config.Format([]byte(src)); got != nil || !diags.HasErrors() {
			t.Errorf("Format(%q) = %q, %v; want an error", src, got, diags)
		}
	}
}

// seeds adds every file of testdata.
func seeds(f *testing.F) {
	f.Helper()
	for _, pattern := range []string{"testdata/*/*.hcl", "testdata/*/*/*.hcl"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("no files match %s: %v", pattern, err)
		}
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
		}
	}
}

func FuzzFormat(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		once, diags := config.Format(src)
		if diags.HasErrors() {
			return
		}
		twice, diags := config.Format(once)
		if diags.HasErrors() {
			t.Fatalf("what Format wrote does not parse: %v\n%s", diags, once)
		}
		if !bytes.Equal(once, twice) {
			t.Errorf("not idempotent: (-once +twice)\n%s", cmp.Diff(string(once), string(twice)))
		}
	})
}

// FuzzLoad wants no panic, and no plugin configuration where there are errors
// in it.
func FuzzLoad(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		cfg, diags := config.Load([]string{write(t, string(src))}, options())
		var b bytes.Buffer
		config.Render(&b, diags, cfg.Files, false)
		if len(diags) > 0 && b.Len() == 0 {
			t.Error("diagnostics print nothing")
		}
		if diags.HasErrors() {
			return
		}
		for _, s := range cfg.Sources {
			if s.Plugin.JSON == nil {
				t.Errorf("%s has no configuration, and nothing says why", s.Address)
			}
		}
		for _, s := range cfg.Syncs {
			if s.Source == "" || s.Applier == "" {
				t.Errorf("%s has no source or applier, and nothing says why", s.Address)
			}
		}
	})
}
