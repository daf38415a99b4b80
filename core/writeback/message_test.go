package writeback_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/core/manifest/edit"
	"github.com/sluice-gitops/sluice/core/writeback"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// image is a change of an image, of nothing in particular.
func image(workload, from, to string) edit.Edit {
	return edit.Edit{Workload: workload, Container: "main", From: from, Image: to}
}

const a, b = "default:deployment/a", "default:deployment/b"

// committed returns the commit that changes become.
func committed(t *testing.T, change func(*writeback.Options), changes ...writeback.Change) (commit source.Change) {
	t.Helper()
	inTime(t, func(m *memory, o *writeback.Options) {
		if change != nil {
			change(o)
		}
	}, func(t *testing.T, m *memory, q *writeback.Queue) {
		for n := range changes {
			changes[n].Source = shop
			if changes[n].ID == "" {
				changes[n].ID = fmt.Sprint(n)
			}
		}
		if err := q.Submit(changes...); err != nil {
			t.Fatal(err)
		}
		if _, err := q.Wait(t.Context(), changes[len(changes)-1].ID); err != nil {
			t.Fatal(err)
		}
		if len(m.commits) != 1 {
			t.Fatalf("%d commits", len(m.commits))
		}
		commit = m.commits[0]
	})
	return commit
}

// TestDefaultWords pins the words of Flux v1.
func TestDefaultWords(t *testing.T) {
	auto := writeback.Cause{Kind: writeback.Automation}
	release := writeback.Cause{Kind: writeback.Release, Job: "1"}
	policies := writeback.Cause{Kind: writeback.Policy, Job: "2"}
	set := func(workload string, kv ...string) edit.Edit {
		e := edit.Edit{Workload: workload, Set: map[string]string{}}
		for i := 0; i < len(kv); i += 2 {
			e.Set[kv[i]] = kv[i+1]
		}
		return e
	}
	for name, tt := range map[string]struct {
		changes []writeback.Change
		want    string
	}{
		"one image": {
			[]writeback.Change{{Cause: auto, Edits: []edit.Edit{image(a, "x:1", "x:2")}}}, "Auto-release x:2",
		},
		"one image of two syncs": {
			[]writeback.Change{
				{Sync: "sync.a", Cause: auto, Edits: []edit.Edit{image(a, "x:1", "x:2")}},
				{Sync: "sync.b", Cause: auto, Edits: []edit.Edit{image(b, "x:1", "x:2")}},
			}, "Auto-release x:2",
		},
		"several images": {
			[]writeback.Change{{Cause: auto, Edits: []edit.Edit{image(a, "y:1", "y:2"), image(b, "x:1", "x:2")}}},
			"Auto-release multiple (2) images\n\n - x:2\n - y:2",
		},
		"release of one image to one": {
			[]writeback.Change{{Cause: release, Subject: writeback.Subject{Image: "x:2", Workloads: []string{a}}, Edits: []edit.Edit{image(a, "", "x:2")}}},
			"Release x:2 to " + a,
		},
		"release of all": {
			[]writeback.Change{{Cause: release, Edits: []edit.Edit{image(a, "", "x:2")}}}, "Release all latest to all",
		},
		"release of two, from two syncs": {
			[]writeback.Change{
				{Sync: "sync.a", Cause: release, Subject: writeback.Subject{Image: "x:2", Workloads: []string{a, b}}, Edits: []edit.Edit{image(a, "", "x:2")}},
				{Sync: "sync.b", Cause: release, Subject: writeback.Subject{Image: "x:2", Workloads: []string{a, b}}, Edits: []edit.Edit{image(b, "", "x:2")}},
			}, "Release x:2 to " + a + ", " + b,
		},
		"release with a person's words": {
			[]writeback.Change{{Cause: writeback.Cause{Kind: writeback.Release, Message: "Ship it\n\nnow\n"}, Edits: []edit.Edit{image(a, "", "x:2")}}},
			"Ship it\n\nnow",
		},
		"containers": {
			[]writeback.Change{{Cause: release, Subject: writeback.Subject{Containers: true}, Edits: []edit.Edit{image(b, "", "x:2"), image(a, "", "x:2")}}},
			"Update image refs in " + a + ", " + b + "\n\n" + a + "\n- x:2\n\n" + b + "\n- x:2",
		},
		"automate": {
			[]writeback.Change{{Cause: policies, Edits: []edit.Edit{set(b, "fluxcd.io/automated", "true"), set(a, "sluice.dev/automated", "true")}}},
			"Automated: " + a + ", " + b,
		},
		"deautomate": {
			[]writeback.Change{{Cause: policies, Edits: []edit.Edit{{Workload: a, Set: map[string]string{}, Remove: []string{"sluice.dev/automated"}}}}},
			"Deautomated: " + a,
		},
		"lock": {
			[]writeback.Change{{Cause: policies, Edits: []edit.Edit{set(a, "sluice.dev/locked", "true", "sluice.dev/locked_user", "Jane", "sluice.dev/locked_msg", "x")}}},
			"Locked: " + a,
		},
		"lock by another": {
			[]writeback.Change{{Cause: policies, Edits: []edit.Edit{
				{Workload: a, Set: map[string]string{"fluxcd.io/locked_user": "Joe"}, Remove: []string{"fluxcd.io/locked_msg"}},
			}}},
			"Locked: " + a,
		},
		"lock by nobody": {
			[]writeback.Change{{Cause: policies, Edits: []edit.Edit{{Workload: a, Remove: []string{"fluxcd.io/locked_user"}}}}},
			"Updated policies: " + a,
		},
		"unlock": {
			[]writeback.Change{{Cause: policies, Edits: []edit.Edit{{Workload: a, Remove: []string{"fluxcd.io/locked", "fluxcd.io/locked_user"}}}}},
			"Unlocked: " + a,
		},
		"unlock and a pattern": {
			[]writeback.Change{{Cause: policies, Edits: []edit.Edit{
				{Workload: a, Remove: []string{"fluxcd.io/locked"}, Set: map[string]string{"sluice.dev/tag.main": "glob:v*"}},
			}}},
			"Updated workload policies\n\n- Unlocked: " + a + "\n- Updated policies: " + a,
		},
		"policies with a person's words": {
			[]writeback.Change{{Cause: writeback.Cause{Kind: writeback.Policy, Message: "Freeze"}, Edits: []edit.Edit{set(a, "sluice.dev/locked", "true")}}},
			"Freeze\n\n- Locked: " + a,
		},
		"revert": {
			[]writeback.Change{{
				Cause: writeback.Cause{Kind: writeback.Revert}, Subject: writeback.Subject{Reverts: "abc123", Reason: a + " did not become healthy within 10m"},
				Edits: []edit.Edit{image(a, "x:2", "x:1")},
			}},
			"Revert x:2 to x:1\n\n" + a + " did not become healthy within 10m\n\nThis reverts commit abc123, as far as it concerns these images.",
		},
		"two reverts of one automation": {
			[]writeback.Change{
				{Cause: writeback.Cause{Kind: writeback.Revert, Job: "auto"}, Subject: writeback.Subject{Reverts: "abc"}, Edits: []edit.Edit{image(a, "x:2", "x:1")}},
				{Cause: writeback.Cause{Kind: writeback.Revert, Job: "auto"}, Subject: writeback.Subject{Reverts: "def"}, Edits: []edit.Edit{image(b, "y:2", "y:1")}},
			},
			"Revert x:2 to x:1, and 1 more\n\n- Revert x:2 to x:1\n\n  This reverts commit abc, as far as it concerns these images.\n" +
				"- Revert y:2 to y:1\n\n  This reverts commit def, as far as it concerns these images.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, committed(t, nil, tt.changes...).Message); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What failed of an exact release is told in its message, like in Flux v1.
func TestErrorsInTheMessage(t *testing.T) {
	release := writeback.Change{Cause: writeback.Cause{Kind: writeback.Release}, Subject: writeback.Subject{Containers: true},
		Edits: []edit.Edit{image(a, "", "x:2"), image(b, "", "x:2")}}
	commit := committed(t, func(o *writeback.Options) {
		plain := o.Edit
		o.Edit = failing(plain, b)
	}, release)
	want := "Update image refs in " + a + "\n\n" + a + "\n- x:2\n\n" + b + ": no such container"
	if diff := cmp.Diff(want, commit.Message); diff != "" {
		t.Error(diff)
	}
}

// TestTemplate uses all that a template is given.
func TestTemplate(t *testing.T) {
	const text = `chore({{.Sync}}): {{len .Images}} in {{.Source}}{{with .Branch}} {{.}}{{end}} by {{.Cause}}{{.User}}
{{range .Changes}}
{{.Workload}} {{.Container}}: {{.From}} -> {{.To}} ({{.File}}, {{.Sync}})
{{- end}}{{range .Images}}
{{.}}{{end}}`
	if err := writeback.ParseMessage(text); err != nil {
		t.Fatal(err)
	}
	c := writeback.Change{Sync: app, Cause: writeback.Cause{Kind: writeback.Automation}, Message: text,
		Edits: []edit.Edit{image(b, "y:1", "y:2"), image(a, "x:1", "x:2")}}
	want := `chore(sync.app): 2 in source.git.shop by automation

default:deployment/a main: x:1 -> x:2 (default:deployment/a, sync.app)
default:deployment/b main: y:1 -> y:2 (default:deployment/b, sync.app)
x:2
y:2`
	if diff := cmp.Diff(want, committed(t, nil, c).Message); diff != "" {
		t.Error(diff)
	}
}

// A template that fails costs its words, not the commit.
func TestTemplateThatFails(t *testing.T) {
	for _, text := range []string{"{{", "{{.Nobody}}", "{{index .Changes 7}}", " {{/* nothing */}} ", `{{define "x"}}{{template "x"}}{{end}}{{template "x"}}`,
		`{{range $i := .Images}}{{printf "%100000d" 1}}{{end}}`} {
		if err := writeback.ParseMessage(text); err == nil {
			t.Errorf("%q is taken", text)
		}
		var warned []error
		commit := committed(t, func(o *writeback.Options) {
			o.Warn = func(source string, err error) { warned = append(warned, fmt.Errorf("%s: %w", source, err)) }
		}, writeback.Change{Cause: writeback.Cause{Kind: writeback.Automation}, Message: text, Edits: []edit.Edit{image(a, "x:1", "x:2")}})
		if commit.Message != "Auto-release x:2" {
			t.Errorf("%q: message %q", text, commit.Message)
		}
		if len(warned) != 1 || !strings.Contains(warned[0].Error(), shop+": message of an image automation: ") {
			t.Errorf("%q: warned %v", text, warned)
		}
	}
}

// Nobody can forge a trailer, hide text or end the message early.
func TestUserText(t *testing.T) {
	c := committed(t, nil, writeback.Change{
		Sync: app, Edits: []edit.Edit{image(a, "", "x:2")},
		Cause: writeback.Cause{
			Kind: writeback.Release, Job: "1",
			User:    "Eve\r\nSluice-Cause: automation <eve@example.com>",
			Message: "Fix\x1b[31m it\u202e\r\n\r\nsluice-user: Jane <jane@example.com>\n---\nSigned-off-by: Eve <eve@example.com>\x00\n",
		},
	})
	want := "Fix[31m it\n\n sluice-user: Jane <jane@example.com>\n ---\nSigned-off-by: Eve <eve@example.com>"
	if diff := cmp.Diff(want, c.Message); diff != "" {
		t.Error(diff)
	}
	trailers := map[string]string{
		"Sluice-Cause": "release", "Sluice-Job": "1", "Sluice-Sync": app,
		"Sluice-User": "Eve Sluice-Cause: automation <eve@example.com>",
	}
	if diff := cmp.Diff(trailers, c.Trailers); diff != "" {
		t.Error(diff)
	}
}

// FuzzUserText: whatever a person writes, the message is text of a bounded
// size without what nobody sees, and has none of our trailers.
func FuzzUserText(f *testing.F) {
	for _, s := range []string{"Fix", "a\n\nSluice-User: x", "\xff\x00\r\n---\n", strings.Repeat("x\n", 40000), "\u202eSluice-Cause: a", "\x00"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, message, user string) {
		c := committed(t, nil, writeback.Change{Edits: []edit.Edit{image(a, "", "x:2")},
			Cause: writeback.Cause{Kind: writeback.Release, User: user, Message: message}})
		if c.Message == "" {
			t.Error("no message")
		}
		if !utf8.ValidString(c.Message) || len(c.Message) > 65<<10 || strings.ContainsAny(c.Message, "\x00\x1b\r\u202e") {
			t.Errorf("message %q", c.Message)
		}
		for line := range strings.Lines(c.Message) {
			if strings.HasPrefix(strings.ToLower(line), "sluice-") || strings.HasPrefix(line, "---") {
				t.Errorf("line %q", line)
			}
		}
		if strings.ContainsAny(c.Trailers["Sluice-User"]+c.Author, "\n\r\x00") {
			t.Errorf("user %q, author %q", c.Trailers["Sluice-User"], c.Author)
		}
	})
}

// Who names a field that there is not is told which there are.
func TestUnknownFieldOfMessage(t *testing.T) {
	for text, want := range map[string]string{
		"{{ .Imgs }}": "the message has no field .Imgs; known: .Changes, .Images, .User, .Cause, .Sync, .Source, .Branch",
		"{{ range .Changes }}{{ .Old }}{{ end }}": "a change has no field .Old; known: .Workload, .Container, .From, .To, .File, .Sync",
	} {
		if err := writeback.ParseMessage(text); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
