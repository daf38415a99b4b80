//go:build unix

package pluginhost

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/sdk/handshake"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// openErr opens source/NAME of the test plugin and returns the error.
func (h *testHost) openErr(t testing.TB, name string) error {
	t.Helper()
	_, _, err := h.Open(t.Context(), "source", name, "source."+name+".a", nil)
	if err == nil {
		t.Fatalf("plugin %s could be opened", name)
	}
	return err
}

func TestPluginsThatCannotBeStarted(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][]string{
		"new":     {"start plugin new", "speaks plugin protocol 9, sluice speaks 1: update sluice"},
		"old":     {"speaks plugin protocol 0, sluice speaks 1: update the plugin"},
		"talker":  {`wrote "hello, world" to its standard output`, "sdk.Main"},
		"quitter": {"ended before it was ready: exit status 3: no licence"},
		"silent":  {"did not become ready within 1s"},
		"netrpc":  {`unsupported plugin protocol "netrpc"`},
		"tcp":     {`listens on "tcp", want a unix socket`},
		"liar":    {"/nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newTestHost(t, func(_ *Options, tm *timing) {
				if name == "silent" {
					tm.start = time.Second
				}
			}, name)
			wantError(t, h.openErr(t, name), append(want, "source/"+name, name)...)
		})
	}
}

func TestPitfall21StartCanBeCancelled(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "silent")
	if _, err := h.Lookup("source", "silent"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, _, err := h.Open(ctx, "source", "silent", "source.silent.a", nil)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Open ends with %v", err)
	}
	began := time.Now()
	if err := h.Close(t.Context()); err != nil || time.Since(began) > testTiming.start/2 {
		t.Errorf("Close during a start took %s: %v", time.Since(began), err)
	}
}

func TestCallsDuringBackOffSayWhyTheyWait(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, func(_ *Options, tm *timing) { tm.backoffMin, tm.backoffMax = time.Hour, time.Hour }, "test")
	i := h.open(t, "test", "a", "do", "die")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := i.Source().Resolve(ctx, source.Revision{})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	wantError(t, err, "waiting for its restart", "it ended: exit status 7", "cannot go on")
	if st := h.status(t); st.State != Backoff || st.RetryAt == nil || !strings.Contains(st.Reason, "exit status 7") {
		t.Errorf("status %+v", st)
	}
}

func TestPluginThatCannotBeStartedIsLeftAlone(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "quitter")
	wantError(t, h.openErr(t, "quitter"), "no licence")
	h.awaitState(t, Stopped)
	if st := h.status(t); len(st.Instances) != 0 || st.LastExit != "" {
		t.Errorf("status %+v", st)
	}
}

func TestInstanceSurvivesAPluginThatIsAwayForAWhile(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	i := h.open(t, "test", "a")
	path := filepath.Join(h.dir, handshake.BinaryPrefix+"test")
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	killProcess(t, h)
	wantError(t, resolveErr(t, i), "does not exist")
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	h.awaitState(t, Ready) // it is tried again and again
	resolve(t, i)
}

func TestPitfall18EachProcessHasItsOwnTMPDIR(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	i := h.open(t, "test", "a")
	tmp := filepath.Join(h.o.DataDir, "plugins", "test", "tmp")
	before, err := os.ReadDir(tmp)
	if err != nil || len(before) != 1 {
		t.Fatalf("TMPDIRs: %v, %v", before, err)
	}
	killProcess(t, h)
	resolve(t, i)
	after, err := os.ReadDir(tmp)
	if err != nil || len(after) != 1 || after[0].Name() == before[0].Name() {
		t.Errorf("TMPDIRs after a restart: %v, before %v (%v)", after, before, err)
	}
}

func TestPitfall20PluginCanBeStartedAgainAndAgain(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	i := h.open(t, "test", "a")
	for range 3 {
		killProcess(t, h)
		resolve(t, i)
	}
	if st := h.status(t); st.Restarts != 3 || st.LastExit != "signal: killed" {
		t.Errorf("status after three kills: %+v", st)
	}
}

func TestPitfall03NothingOutlivesAKilledHost(t *testing.T) {
	t.Parallel()
	for _, stopped := range []bool{false, true} {
		t.Run(fmt.Sprintf("stopped=%t", stopped), func(t *testing.T) {
			t.Parallel()
			plugins := filepath.Dir(testPlugin(t, "test"))
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			run := shortDir(t)
			cmd := &exec.Cmd{Path: self, Args: []string{handshake.BinaryPrefix + "host", plugins, run, t.TempDir()}, Stderr: os.Stderr}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var pid, child int
			line, _ := bufio.NewReader(out).ReadString('\n')
			if _, err := fmt.Sscanf(line, "%d %d", &pid, &child); err != nil {
				t.Fatalf("the host says %q: %v", line, err)
			}
			if stopped { // it cannot notice the end of the lifeline
				stopProcess(t, pid)
			}
			if err := errors.Join(cmd.Process.Kill(), ignoreExit(cmd.Wait())); err != nil {
				t.Fatal(err)
			}
			gone(t, pid)
			sweepsStale(t, run)
			gone(t, child) // ended by the next host
		})
	}
}

func ignoreExit(err error) error {
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil
	}
	return err
}

// sweepsStale checks that the next host removes what a killed one left.
func sweepsStale(t *testing.T, run string) {
	t.Helper()
	stale, err := filepath.Glob(filepath.Join(run, runPrefix+"*", "*", "*"))
	if err != nil || len(stale) == 0 {
		t.Fatalf("the killed host left no sockets to test with: %v %v", stale, err)
	}
	d, err := newRunDir(run)
	if err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(run, runPrefix+"*"))
	if err != nil || len(left) != 1 || left[0] != d.path {
		t.Errorf("after the sweep there are %v, want %s only (%v)", left, d.path, err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestPitfall17SocketsOfLiveHostsStay(t *testing.T) {
	t.Parallel()
	run := shortDir(t)
	first, err := newRunDir(run)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(first.path, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	second, err := newRunDir(run)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(first.path, "s")); err != nil {
		t.Errorf("the second host removed a socket of the first: %v", err)
	}
	if err := errors.Join(first.Close(), second.Close()); err != nil {
		t.Error(err)
	}
}

func TestPitfall17SocketsAreRemovedWithTheirProcess(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	i := h.open(t, "test", "a")
	killProcess(t, h)
	resolve(t, i)
	dirs, err := filepath.Glob(filepath.Join(h.run.path, "plugin-dir*"))
	if err != nil || len(dirs) != 1 {
		t.Errorf("one process has the socket directories %v (%v)", dirs, err)
	}
}

func TestPitfall16LongSocketPath(t *testing.T) {
	t.Parallel()
	long := filepath.Join(shortDir(t), strings.Repeat("d", 60))
	_, err := newRunDir(long)
	wantError(t, err, "too long", "/run/sluice")
	short := shortDir(t)
	fits := filepath.Join(short, strings.Repeat("d", socketPathMax()-socketSuffix-len(short)-len("/")))
	h := newTestHost(t, func(o *Options, _ *timing) { o.RunDir = fits }, "test")
	resolve(t, h.open(t, "test", "a"))
}

func TestRunDirMustBePrivate(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	_, err := newRunDir(dir)
	wantError(t, err, "can be written by others", "chmod 700")
}

func TestPitfall08MessageTooLarge(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	i := h.open(t, "test", "a", "do", "huge")
	wantError(t, resolveErr(t, i), "too large", "path")
	big := source.Change{Message: strings.Repeat("m", handshake.MaxMessage+1)}
	_, err := i.Source().Commit(t.Context(), big)
	wantError(t, err, "too large", "path")
}

func TestPitfall08LargeMessagesPassBothWays(t *testing.T) {
	t.Parallel()
	h := newTestHost(t, nil, "test")
	i := h.open(t, "test", "a", "do", "echo")
	want := source.Revision{ID: "1", Message: strings.Repeat("m", 5<<20)}
	got, err := i.Source().Resolve(t.Context(), want)
	if err != nil || got.Message != want.Message {
		t.Errorf("got a message of %d bytes back: %v", len(got.Message), err)
	}
}

func TestPitfall13OnlyAllowedEnvironment(t *testing.T) {
	host := []string{
		"PATH=/bin", "HOME=/home/ann", "TMPDIR=/tmp", "HTTPS_PROXY=http://proxy", "SECRET=x", "SSH_AUTH_SOCK=/s",
		"KUBECONFIG=/k", "KUBERNETES_SERVICE_HOST=10.0.0.1", "AWS_PROFILE=p", "AWS_SECRET_ACCESS_KEY=k", "PLUGIN_X=1",
	}
	for _, tt := range []struct {
		kinds    []string
		declared map[string]string
		want     string
	}{
		{[]string{"source"}, nil, "HOME=/own HTTPS_PROXY=http://proxy PATH=/bin TMPDIR=/own/tmp"},
		{[]string{"source"}, map[string]string{"PATH": "/opt", "SSH_AUTH_SOCK": "/s"}, "HOME=/own HTTPS_PROXY=http://proxy PATH=/opt SSH_AUTH_SOCK=/s TMPDIR=/own/tmp"},
		{[]string{"applier"}, nil, "AWS_PROFILE=p AWS_SECRET_ACCESS_KEY=k HOME=/home/ann HTTPS_PROXY=http://proxy KUBECONFIG=/k KUBERNETES_SERVICE_HOST=10.0.0.1 PATH=/bin TMPDIR=/own/tmp"},
		{[]string{"registry_credential", "source"}, nil, "AWS_PROFILE=p AWS_SECRET_ACCESS_KEY=k HOME=/home/ann HTTPS_PROXY=http://proxy PATH=/bin TMPDIR=/own/tmp"},
	} {
		if got := strings.Join(pluginEnv(host, tt.kinds, tt.declared, "/own", "/own/tmp"), " "); got != tt.want {
			t.Errorf("%v:\n got %s\nwant %s", tt.kinds, got, tt.want)
		}
	}
}

func TestDeclaredEnvironmentCannotBreakTheProtocol(t *testing.T) {
	for _, name := range []string{"PLUGIN_CLIENT_CERT", handshake.CookieKey, handshake.LifelineEnv, "A=B", ""} {
		_, err := New(Options{RunDir: shortDir(t), Plugins: []Declaration{{Name: "x", Env: map[string]string{name: "1"}}}})
		wantError(t, err, `plugin "x"`)
	}
}

func TestErrorsNameThePathAndNotTheDescriptor(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sluice-plugin-text")
	if err := os.WriteFile(path, []byte("not a program\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := DescribeBinary(t.Context(), path)
	wantError(t, err, "start "+path+": exec format error")
	if err != nil && strings.Contains(err.Error(), "/proc/self") {
		t.Error(err)
	}
}
