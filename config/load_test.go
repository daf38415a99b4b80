package config_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/config"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// environment is what env() and SLUICE_VAR_ see in tests.
func environment(name string) (string, bool) {
	v, ok := map[string]string{"HOME": "/home/user", "CITY": "Zürich", "SLUICE_VAR_from_env": "env-value"}[name]
	return v, ok
}

func options() config.Options {
	return config.Options{
		Env:     environment,
		Schemas: installed,
	}
}

// cases returns the files and directories in testdata/dir, and changes into it
// so that diagnostics name them without a directory.
func cases(t *testing.T, dir string) []string {
	t.Helper()
	t.Chdir(filepath.Join("testdata", dir))
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		if e.IsDir() || filepath.Ext(e.Name()) == ".hcl" {
			found = append(found, e.Name())
		}
	}
	if len(found) == 0 {
		t.Fatalf("no cases in %s", dir)
	}
	return found
}

// golden compares got with the file name, in which $DIR stands for the working
// directory.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	got = bytes.ReplaceAll(got, []byte(workingDir(t)), []byte("$DIR"))
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatalf("%v (run go test -update to write it)", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", name, diff)
	}
}

func workingDir(t *testing.T) string {
	t.Helper()
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return wd
}

// TestInvalid compares the printed diagnostics of each kind of mistake.
func TestInvalid(t *testing.T) {
	for _, name := range cases(t, "invalid") {
		t.Run(name, func(t *testing.T) {
			cfg, diags := config.Load([]string{name}, options())
			if len(diags) == 0 {
				t.Fatal("no diagnostics")
			}
			// Before Render, whose line breaks depend on how long the path is.
			for i := range diags {
				diags[i].Detail = strings.ReplaceAll(diags[i].Detail, workingDir(t), "$DIR")
			}
			var b bytes.Buffer
			config.Render(&b, diags, cfg.Files, false)
			golden(t, strings.TrimSuffix(name, ".hcl")+".txt", b.Bytes())
		})
	}
}

// TestValid compares the decoded configuration, with secrets in the clear, as
// the engine gets it.
func TestValid(t *testing.T) {
	for _, name := range cases(t, "valid") {
		t.Run(name, func(t *testing.T) {
			cfg, diags := config.Load([]string{name}, options())
			if len(diags) > 0 {
				var b bytes.Buffer
				config.Render(&b, diags, cfg.Files, false)
				t.Fatalf("diagnostics:\n%s", b.String())
			}
			golden(t, strings.TrimSuffix(name, ".hcl")+".json", dump(t, cfg))
		})
	}
}

// dump is the JSON of cfg, with what the plugins get where people must not see it.
func dump(t *testing.T, cfg *config.Config) []byte {
	t.Helper()
	wire := map[string]json.RawMessage{}
	secrets := map[string][]string{}
	note := func(b config.Block, p config.PluginConfig) {
		if p.Secrets != nil {
			wire[b.Address], secrets[b.Address] = p.JSON, p.Secrets
		}
	}
	for _, s := range cfg.Sources {
		note(s.Block, s.Plugin)
	}
	for _, a := range cfg.Appliers {
		note(a.Block, a.Plugin)
	}
	for _, c := range cfg.Credentials {
		note(c.Block, c.Plugin)
	}
	for _, r := range cfg.Releases {
		if r.Secrets() != nil {
			wire[r.Address], secrets[r.Address] = r.Values.JSON, r.Secrets()
		}
	}
	shown := *cfg
	shown.Files = nil
	data, err := json.MarshalIndent(struct {
		Config  config.Config
		Wire    map[string]json.RawMessage
		Secrets map[string][]string
		Paths   []string
	}{shown, wire, secrets, cfg.Paths()}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(data, '\n')
}
