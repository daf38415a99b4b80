package fluxfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want File
	}{
		"commands": {"version: 1\ncommandUpdated:\n  generators:\n    - command: a\n    - {command: b, timeout: 90s}\n  updaters:\n    - containerImage: {command: c, timeout: 10ms}\n      policy: {command: d}\n    - policy: {command: e}\n", File{
			Path:       "x",
			Generators: []Command{{"a", 4, 0}, {"b", 5, 90 * time.Second}},
			Updaters:   []Updater{{&Command{"c", 7, 0}, &Command{"d", 8, 0}}, {nil, &Command{"e", 9, 0}}},
		}},
		"patch":     {"version: 1\npatchUpdated: {generators: [{command: a}], patchFile: d/p.yaml}", File{Path: "x", Generators: []Command{{"a", 2, 0}}, PatchFile: "d/p.yaml"}},
		"scan":      {"version: 1\nscanForFiles: {}", File{Path: "x", Scan: true}},
		"scan null": {"version: 1\nscanForFiles:", File{Path: "x", Scan: true}},
		"files":     {"version: 1\nfiles: {}", File{Path: "x", Scan: true}},
		"alias":     {"version: 1\ncommandUpdated: {generators: [&g {command: a}, *g]}", File{Path: "x", Generators: []Command{{"a", 2, 0}, {"a", 2, 0}}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Parse("x", []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "x:1: it is empty",
		"[":                                "x: it is not YAML: ",
		"- a":                              "x:1: want keys and values",
		"version: 2\nscanForFiles: {}":     "x:1: version is 2; only 1 is known",
		"version: '1'\nscanForFiles: {}":   "x:1: version is 1; only 1 is known, without quotes",
		"scanForFiles: {}":                 "x:1: version is missing",
		"version: 1":                       "x:1: want one of commandUpdated, patchUpdated and scanForFiles",
		"version: 1\ncomandUpdated: {}":    "x:2: comandUpdated is not known here; did you mean commandUpdated?",
		"version: 1\nscanForFiles: {a: b}": "x:2: a is not known here",
		"version: 1\nscanForFiles: {}\nfiles: {}":                                                     "x:3: only one of commandUpdated",
		"version: 1\nversion: 1\nscanForFiles: {}":                                                    "x:2: version is there twice",
		"version: 1\ncommandUpdated: {}":                                                              "x:2: commandUpdated has no generators",
		"version: 1\ncommandUpdated: {generators: []}":                                                "x:2: commandUpdated has no generators",
		"version: 1\ncommandUpdated: {generators: {}}":                                                "x:2: want a list",
		"version: 1\ncommandUpdated: {generators: [{}]}":                                              "x:2: command is missing",
		"version: 1\ncommandUpdated: {generators: [a]}":                                               "x:2: want keys and values",
		"version: 1\ncommandUpdated: {generators: [{command: 1}]}":                                    "x:2: want a string",
		"version: 1\ncommandUpdated: {generators: [{command: a, timeout: 30}]}":                       "x:2: want a string",
		"version: 1\ncommandUpdated: {generators: [{command: a, timeout: 30 s}]}":                     `x:2: timeout "30 s" is not a duration`,
		"version: 1\ncommandUpdated:\n  generators: [{command: a}]\n  patchFile: p":                   "x:4: patchFile is not known here",
		"version: 1\npatchUpdated: {generators: [{command: a}]}":                                      "x:2: patchUpdated has no patchFile",
		"version: 1\npatchUpdated: {generators: [{command: a}], patchFile: ../p}":                     `x:2: patchFile "../p" is not a path below`,
		"version: 1\npatchUpdated: {generators: [{command: a}], patchFile: /p}":                       `x:2: patchFile "/p" is not a path below`,
		"version: 1\ncommandUpdated: {generators: [{command: a}], updaters: [{image: {command: b}}]}": "x:2: image is not known here",
		"version: 1\nscanForFiles: {}\n---\nversion: 1":                                               "a second document has no meaning here",
	} {
		if _, err := Parse("x", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

func TestFind(t *testing.T) {
	root := t.TempDir()
	for file, content := range map[string]string{
		Name: "version: 1\nfiles: {}", "a/" + Name: "version: 1\nfiles: {}", "a/b/c/x": "", "d/x": "", "e/" + Name: "version: 3", "f/" + Name + "/x": "",
	} {
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(file)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for dir, want := range map[string][]string{
		"a/b/c":     {"a/" + Name, "a/b/c"},
		"a/" + Name: {"a/" + Name, "a"},
		"d":         {Name, "d"},
		".":         {Name, "."},
		Name:        {Name, "."},
	} {
		f, at, looked, err := Find(root, dir)
		if err != nil || f == nil || f.Path != want[0] || at != want[1] || looked[len(looked)-1] != want[0] {
			t.Errorf("Find(%q) = %+v, %q, %q, %v", dir, f, at, looked, err)
		}
	}
	for dir, want := range map[string]string{"e": "e/" + Name + ":1: version is 3", "f": "cannot be read"} {
		if _, _, _, err := Find(root, dir); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Find(%q): %v", dir, err)
		}
	}
	if f, _, _, err := Find(filepath.Join(root, "d"), "."); f != nil || err != nil {
		t.Errorf("looked above the root: %+v, %v", f, err)
	}
}

// Whatever the file holds, there is a File or an error with the file's name.
func FuzzParse(f *testing.F) {
	f.Add("version: 1\ncommandUpdated:\n  generators:\n    - {command: a, timeout: 1m}\n")
	f.Add("&a [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse("the-file", []byte(text))
		if (file == nil) == (err == nil) || err != nil && !strings.Contains(err.Error(), "the-file") {
			t.Errorf("%+v, %v", file, err)
		}
	})
}
