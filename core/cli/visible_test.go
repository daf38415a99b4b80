package cli

import (
	"strings"
	"testing"
	"unicode"

	"github.com/sluice-gitops/sluice/core/available"
	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/event"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/workload"
	"github.com/sluice-gitops/sluice/sdk/applier"
)

func TestVisible(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "",
		"registry.example.com/größe": "registry.example.com/größe",
		"a\x1b[2Jb":                  `a\x1b[2Jb`,
		"a\nb\tc\r":                  `a\nb\tc\r`,
		"\u009b1m\u202e\u200b":       `\u009b1m\u202e\u200b`,
		"\x9b1m\xff":                 `\x9b1m\xff`,
		"\uFFFD":                     "\uFFFD",
	} {
		if got := visible(text); got != want {
			t.Errorf("visible(%q) = %q, want %q", text, got, want)
		}
	}
	if got := visibleLines("a\n\tb\x1b"); got != "a\n\tb\\x1b" {
		t.Errorf("lines: %q", got)
	}
}

// What strangers write cannot act on the terminal: images of pods, user names
// of pull secrets, words of registries.
func TestTablesAreVisible(t *testing.T) {
	const evil = "x\x1b[2J\u009b8m\r\nforged row\u202e"
	var out strings.Builder
	a := &app{Streams: Streams{Out: &out, Err: &out}}
	row := images.Row{Tag: images.Tag{Name: evil, Problem: evil}}
	a.tellProblems([]string{evil})
	a.printError(withHint(engineError(evil), "%s", evil))
	p := a.progress()
	p.line(evil, evil)
	for _, err := range []error{
		writeImages(&out, []available.Images{{Workload: evil, Container: evil, Image: evil, Error: evil, Rows: []images.Row{row}}, {Image: evil}}, false),
		writeWorkloads(&out, []workload.Workload{{ID: evil, Containers: []applier.Container{{Name: evil, Image: evil}}}}, false),
		writeProviders(&out, []credentials.ProviderStatus{{Provider: evil, Error: evil, Cached: []credentials.CachedStatus{{ID: evil, Username: evil}}}}),
		writeExplanation(&out, credentials.Explanation{Host: evil, Error: evil, Advice: evil, Chain: []credentials.Step{{Provider: evil, Error: evil}}}),
		(&eventTable{w: &out}).write(rowOf(event.Event{Node: evil, Object: evil, Message: evil})),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "forged") || strings.ContainsFunc(strings.TrimSuffix(line, "\n"), func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("printed %q", line)
		}
	}
}

type engineError string

func (e engineError) Error() string { return string(e) }
