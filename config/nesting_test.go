package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gitops/sluice/config"
)

// TestNesting loads text on which a parser without limits overflows its stack,
// which ends the process.
func TestNesting(t *testing.T) {
	tests := map[string]string{
		"brackets":     "locals { x = " + strings.Repeat("[", 1000),
		"blocks":       strings.Repeat("a {\n", 1000),
		"not":          "locals { x = (" + strings.Repeat("!\n", 1000) + "true) }",
		"minus":        "locals { x = " + strings.Repeat("-", 1000) + "1 }",
		"sum":          "locals { x = 1" + strings.Repeat("+1", 1000) + " }",
		"conditionals": "locals { x = " + strings.Repeat("true?1:", 1000) + "1 }",
		"indexes":      "locals { x = local.y" + strings.Repeat("[local.y]", 1000) + " }",
		"directives":   `locals { x = "` + strings.Repeat("%{if true}", 1000) + `" }`,
		"for":          "locals { x = " + strings.Repeat("[for a in ", 1000) + " }",
	}
	for name, src := range tests {
		t.Run(name, func(t *testing.T) {
			_, diags := config.Load([]string{write(t, src)}, options())
			if len(diags) != 1 || diags[0].Summary != "Nested too deeply" {
				t.Errorf("got %v, want one diagnostic: Nested too deeply", diags)
			}
		})
	}
}

// TestFlat loads long text that does not nest.
func TestFlat(t *testing.T) {
	src := "locals {\n" +
		"list = [" + strings.Repeat("[1, 1 + 1],\n", 1000) + "]\n" +
		"object = {\n" + strings.Repeat(`"${"a"}" = 1 - 1`+"\n", 1000) + "}\n" +
		`text = "` + strings.Repeat("${1}", 1000) + "\"\n}\n"
	_, diags := config.Load([]string{write(t, src)}, options())
	if diags.HasErrors() {
		t.Error(diags)
	}
}

// write puts src into a file of its own and returns its path.
func write(t testing.TB, src string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.hcl")
	if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
