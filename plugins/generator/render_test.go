package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/renderer"
)

func TestRenders(t *testing.T) {
	files, res, err := render(t.Context(), t, newGenerator(t, `{}`), "testdata/shop", "apps/a", "plain", "apps/patched/.flux.yaml")
	if err != nil {
		t.Fatal(err)
	}
	wantOrigins := map[string]renderer.Origin{
		"000001.yaml": {File: ".flux.yaml", Line: 4}, "000002.yaml": {File: ".flux.yaml", Line: 6},
		"000003/plain/config.yaml": {File: "plain/config.yaml"},
		"000004.json":              {File: "apps/patched/.flux.yaml", Line: 4}, "000005.json": {File: "apps/patched/.flux.yaml", Line: 4},
	}
	if diff := cmp.Diff(wantOrigins, res.Origins); diff != "" {
		t.Errorf("origins (-want +got):\n%s", diff)
	}
	for file, want := range map[string]string{"000001.yaml": "name: web-a\n", "000002.yaml": "postgres:17", "000003/plain/config.yaml": "name: plain", "000004.json": `"api"`, "000005.json": `"size":5`} {
		if !strings.Contains(files[file], want) {
			t.Errorf("%s holds %q, want %q in it", file, files[file], want)
		}
	}
	if len(res.Diagnostics) != 1 || res.Diagnostics[0].Severity != diag.Warning ||
		!strings.Contains(res.Diagnostics[0].Summary, "deployment.apps/gone") && !strings.Contains(res.Diagnostics[0].Summary, "Deployment.apps/gone") ||
		res.Diagnostics[0].Subject.File != "apps/patched/flux-patch.yaml" {
		t.Errorf("diagnostics %+v", res.Diagnostics)
	}
}

const configMap = `printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n' `

func TestEnvironment(t *testing.T) {
	t.Setenv("LEAK", "from-the-plugin")
	t.Setenv("LANG", "C.UTF-8")
	dir := tree(t, map[string]string{"apps/x/.flux.yaml": fluxYAML(`env | grep -v "^_=" | cut -d= -f1 | sort | sed 's/^/# /'; echo "# $PWD"; test -w . && touch "$HOME/h" "$TMPDIR/t" written; ` + configMap + `"$NAME"`)})
	g := newGenerator(t, `{"env": {"NAME": "from-env"}}`)
	files, _, err := render(t.Context(), t, g, dir, "apps/x")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(files["000001.yaml"], "\n")
	if diff := cmp.Diff([]string{"# HOME", "# LANG", "# NAME", "# PATH", "# PWD", "# TMPDIR"}, lines[:6]); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
	if !strings.HasSuffix(lines[6], "/tree/apps/x") || strings.Contains(lines[6], dir) {
		t.Errorf("it ran in %s, want a copy of the path", lines[6])
	}
	if _, err := os.Stat(strings.TrimPrefix(lines[6], "# ")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the copy is still there: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "apps/x/written")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it wrote into the source: %v", err)
	}
	if !strings.Contains(files["000001.yaml"], "name: from-env") {
		t.Errorf("printed\n%s", files["000001.yaml"])
	}
}

func TestFails(t *testing.T) {
	for name, c := range map[string]struct {
		command, config string
		want            []string
	}{
		"status":         {"echo reason >&2; exit 4", `{}`, []string{".flux.yaml:4: generator 1", `"echo reason >&2; exit 4"`, "exit status 4", "reason"}},
		"not found":      {"no-such-program", `{}`, []string{"exit status 127", "not found"}},
		"nothing":        {"true", `{}`, []string{".flux.yaml:4", "has printed nothing in x", "allow_empty"}},
		"only comments":  {"echo '# nothing'; echo ---", `{}`, []string{"has printed nothing"}},
		"broken pipe":    {"false | cat", `{}`, []string{"has printed nothing", "in front of a pipe"}},
		"pipefail":       {"(echo a; false) | cat", `{"shell": ["/bin/bash", "-o", "pipefail", "-c"]}`, []string{"exit status 1"}},
		"too much":       {"head -c 2000 /dev/zero", `{"max_output": 1000}`, []string{"it prints more than 1000 bytes"}},
		"endless":        {"yes", `{"max_output": 100000}`, []string{"it prints more than 100000 bytes"}},
		"secret":         {"echo $TOKEN >&2; exit 1", `{"env": {"TOKEN": "t0ken-value"}}`, []string{"(redacted)"}},
		"long complaint": {"head -c 100000 /dev/zero | tr '\\0' m >&2; echo end >&2; exit 1", `{}`, []string{"... mmm", "end"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := tree(t, map[string]string{"x/.flux.yaml": fluxYAML(c.command)})
			_, _, err := render(t.Context(), t, newGenerator(t, c.config), dir, "x")
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %.400q, want %q in it", err.Error(), want)
				}
			}
			if strings.Contains(err.Error(), "t0ken") || len(err.Error()) > 20_000 {
				t.Errorf("error of %d bytes: %.200q", len(err.Error()), err.Error())
			}
		})
	}
}

func TestAllowsEmptyOutput(t *testing.T) {
	dir := tree(t, map[string]string{".flux.yaml": fluxYAML("true")})
	if _, _, err := render(t.Context(), t, newGenerator(t, `{"allow_empty": true}`), dir, "."); err != nil {
		t.Error(err)
	}
}

// The command, what it has started, and what has the pipes open: all is gone
// soon after the timeout.
func TestKillsWhatHangs(t *testing.T) {
	for name, command := range map[string]string{
		"command":             `echo $$ > "$PIDS"; sleep 1000`,
		"grandchild":          `(sleep 1000 & echo $! > "$PIDS"; wait) | cat`,
		"ignores signals":     `trap '' TERM INT HUP; echo $$ > "$PIDS"; while :; do sleep 1000; done`,
		"grandchild lives on": `sleep 1000 & echo $! > "$PIDS"; ` + configMap + `x`, // and holds the pipes
	} {
		t.Run(name, func(t *testing.T) {
			pids := filepath.Join(t.TempDir(), "pids")
			dir := tree(t, map[string]string{".flux.yaml": fluxYAML(command)})
			timeout, want := "1s", "it has run for 1s and was killed"
			if name == "grandchild lives on" {
				timeout, want = "1m", "something that it has started goes on"
			}
			g := newGenerator(t, fmt.Sprintf(`{"command_timeout": %q, "env": {"PIDS": %q}}`, timeout, pids))
			start := time.Now()
			_, _, err := render(t.Context(), t, g, dir, ".")
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v", err)
			}
			wantGone(t, pids)
		})
	}
}

// Whatever .flux.yaml asks for, the host's deadline ends it.
func TestDeadlineGoesBeforeTheFile(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	dir := tree(t, map[string]string{".flux.yaml": "version: 1\ncommandUpdated:\n  generators:\n    - {command: 'echo $$ > \"$PIDS\"; sleep 1000', timeout: 9000h}\n"})
	g := newGenerator(t, fmt.Sprintf(`{"env": {"PIDS": %q}}`, pids))
	late := errors.New("the host does not wait any longer")
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, late)
	defer cancel()
	if _, _, err := render(ctx, t, g, dir, "."); !errors.Is(err, late) {
		t.Errorf("error %v", err)
	}
	wantGone(t, pids)
}

// wantGone fails unless the process named in file ends.
func wantGone(t *testing.T, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || strings.Contains(string(state), ") Z ") {
			return
		}
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
	t.Errorf("process %d is still there", pid)
}

func TestReturnsWhenCancelled(t *testing.T) {
	started := filepath.Join(t.TempDir(), "started")
	dir := tree(t, map[string]string{".flux.yaml": fluxYAML(`mkfifo "$F.fifo"; echo > "$F"; cat "$F.fifo"`)})
	g := newGenerator(t, fmt.Sprintf(`{"env": {"F": %q}}`, started))
	why := errors.New("a new revision")
	ctx, cancel := context.WithCancelCause(t.Context())
	failed := make(chan error, 1)
	out := t.TempDir()
	go func() {
		_, err := g.Render(ctx, renderer.Request{Dir: dir, Paths: []string{"."}, Out: out})
		failed <- err
	}()
	for range 500 {
		if _, err := os.Stat(started); err == nil {
			break
		}
		<-time.After(10 * time.Millisecond)
	}
	cancel(why)
	if err := <-failed; !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
}

func TestLargeOutput(t *testing.T) {
	dir := tree(t, map[string]string{".flux.yaml": fluxYAML(`i=0; while [ $i -lt 400 ]; do ` + configMap + ` "c$i"; printf 'data: {x: "'; head -c 50000 /dev/zero | tr '\0' y; printf '"}\n---\n'; i=$((i+1)); done`)})
	files, _, err := render(t.Context(), t, newGenerator(t, `{}`), dir, ".")
	if err != nil || len(files) != 400 || len(files["000400.yaml"]) < 50_000 || !strings.Contains(files["000400.yaml"], "name: c399") {
		t.Errorf("%d files, %v", len(files), err)
	}
}

func TestManyPaths(t *testing.T) {
	files := map[string]string{".flux.yaml": fluxYAML(configMap + `"$(basename "$PWD")"`)}
	var paths []string
	for i := range 200 {
		p := fmt.Sprintf("apps/a%03d", i)
		files[p+"/x"] = ""
		paths = append(paths, p)
	}
	got, res, err := render(t.Context(), t, newGenerator(t, `{}`), tree(t, files), paths...)
	if err != nil || len(got) != 200 || len(res.Origins) != 200 || !strings.Contains(got["000200.yaml"], "name: a199") {
		t.Errorf("%d files, %d origins, %v", len(got), len(res.Origins), err)
	}
}

// A path without a .flux.yaml holds plain files, as with Flux.
func TestPlainFiles(t *testing.T) {
	dir := tree(t, map[string]string{
		".sluiceignore": "secret.yaml\n", "a/x.yaml": "x: 1\n", "a/.hidden/y.yaml": "", "a/y.json": "{}", "a/z.txt": "", "a/b/.sluiceignore": "w.yaml\n", "a/b/w.yaml": "",
		"a/chart/Chart.yaml": "", "a/chart/values.yaml": "", "a/chart/templates/t.yaml": "", "b/other.yaml": "",
	})
	files, res, err := render(t.Context(), t, newGenerator(t, `{}`), dir, "a")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"000001/.sluiceignore": "secret.yaml\n", "000001/a/x.yaml": "x: 1\n", "000001/a/y.json": "{}",
		"000001/a/b/.sluiceignore": "w.yaml\n", "000001/a/b/w.yaml": "",
	}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if o := res.Origins["000001/a/x.yaml"]; o != (renderer.Origin{File: "a/x.yaml"}) || len(res.Origins) != 3 {
		t.Errorf("origins %v", res.Origins)
	}
}

func TestStaysInTheTree(t *testing.T) {
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, ".flux.yaml"), []byte(fluxYAML("echo no")), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := tree(t, map[string]string{"a/.flux.yaml@": filepath.Join(outside, ".flux.yaml"), "b@": outside, "c/x.yaml@": filepath.Join(outside, ".flux.yaml")})
	for _, p := range []string{"a", "b", "../x", "no-such", "c"} {
		if files, _, err := render(t.Context(), t, newGenerator(t, `{}`), dir, p); err == nil {
			t.Errorf("%s: rendered %v", p, files)
		}
	}
}

func TestDocuments(t *testing.T) {
	for text, want := range map[string][]string{
		"":                                      {},
		"a: 1":                                  {"a: 1"},
		"---\na: 1\n---\n# none\n---  \nb: 2\n": {"a: 1\n", "b: 2\n"},
		"a: |\n  ---\n  x\n--- # y\nb: 2":       {"a: |\n  ---\n  x\n--- # y\nb: 2"},
		"a: 1\r\n---\r\nb: 2":                   {"a: 1\r\n", "b: 2"},
	} {
		got := []string{}
		for doc := range documents([]byte(text)) {
			got = append(got, string(doc))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}
