//go:build unix

package pluginhost

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-gitops/sluice/sdk/handshake"
)

const (
	// File descriptors of a plugin process after the standard three, in the
	// order of exec.Cmd.ExtraFiles.
	lifelineFD   = 3
	executableFD = 4

	handshakeMax  = 64 << 10        // a longer first line is no handshake
	pipeGrace     = 1 * time.Second // for output that is still on its way when the process has ended
	killWait      = 5 * time.Second // SIGKILL that does not end a process in this time never will
	chatterSample = 200             // bytes of stray standard output that are shown
)

// runner is one run of a plugin process, as go-plugin's runner.Runner. It
// exists because go-plugin's own has faults that a hostile or merely unlucky
// plugin turns against the host. This one
//
//   - keeps stderr to itself (go-plugin sees an empty stream): its log parser
//     panics on a message that is not a string;
//   - hands over the first line of stdout only and drains the rest, which
//     would otherwise block the plugin after 64 KiB;
//   - ties the plugin's life to the host's, by a pipe that the SDK watches
//     and, on Linux, by a parent-death signal;
//   - puts the plugin into a process group of its own and kills the group;
//   - gives it no stdin and only the environment it was told to;
//   - knows how the process ended, and ends every wait in bounded time.
type runner struct {
	exe  *executable
	env  []string
	dir  string
	logs *logReader

	pid     int
	stdout  *io.PipeReader // the handshake line, then EOF
	readers sync.WaitGroup
	exited  chan struct{} // closed when the process is gone and its output read

	mu       sync.Mutex
	killed   bool
	reaped   bool // the pid is no longer ours
	state    *os.ProcessState
	ended    time.Time
	first    string // first line of stdout
	gotFirst bool
}

func newRunner(exe *executable, env []string, dir string, logs *logReader) *runner {
	return &runner{exe: exe, env: env, dir: dir, logs: logs, exited: make(chan struct{})}
}

// Start implements runner.Runner.
func (r *runner) Start(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p, err := newPipes()
	if err != nil {
		return fmt.Errorf("pipes for plugin: %w", err)
	}
	cmd := command(r.exe)
	cmd.Env = append(r.env, handshake.LifelineEnv+"="+strconv.Itoa(lifelineFD))
	cmd.Dir = r.dir
	cmd.Stdout, cmd.Stderr = p.stdoutW, p.stderrW
	cmd.ExtraFiles = []*os.File{p.lifelineR, r.exe.file}
	cmd.SysProcAttr = processAttributes()

	started := make(chan error, 1)
	go r.own(cmd, p, started)
	err = <-started
	p.closeChildEnds()
	if err != nil {
		p.closeHostEnds()
		close(r.exited)
		return fmt.Errorf("start %s: %w", r.exe.path, err)
	}
	return nil
}

// own starts the process and reaps it, all on one OS thread: the kernel sends
// the parent-death signal when the thread that forked ends, not the process
// (golang/go#27505), so the thread has to live as long as the child.
func (r *runner) own(cmd *exec.Cmd, p *pipes, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := r.startUnlessKilled(cmd); err != nil {
		started <- err
		return
	}
	r.logs.log = r.logs.log.With("pid", r.pid)
	pr, pw := io.Pipe()
	r.stdout = pr
	r.readers.Go(func() { r.readStdout(p.stdoutR, pw) })
	r.readers.Go(func() { r.logs.read(p.stderrR) })
	started <- nil

	awaitExit(cmd) // keeps the pid, so that the group kill cannot hit a stranger
	r.mu.Lock()
	r.killGroup()
	_ = cmd.Wait() // what it would say is in the state
	r.state, r.ended, r.reaped = cmd.ProcessState, time.Now(), true
	r.mu.Unlock()

	// A process that left the group may still hold the pipes open.
	deadline := time.Now().Add(pipeGrace)
	_ = p.stdoutR.SetReadDeadline(deadline)
	_ = p.stderrR.SetReadDeadline(deadline)
	r.readers.Wait()
	p.closeHostEnds()
	close(r.exited)
}

// startUnlessKilled makes a Kill that comes before the start prevent it.
func (r *runner) startUnlessKilled(cmd *exec.Cmd) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.killed {
		return errors.New("killed before it was started")
	}
	if err := cmd.Start(); err != nil {
		return withPath(err, r.exe)
	}
	r.pid = cmd.Process.Pid
	return nil
}

// readStdout gives the first line to go-plugin and throws the rest away.
func (r *runner) readStdout(stdout io.Reader, first *io.PipeWriter) {
	in := bufio.NewReaderSize(stdout, handshakeMax)
	line, err := in.ReadSlice('\n')
	r.mu.Lock()
	r.first, r.gotFirst = strings.TrimSpace(string(line)), len(line) > 0
	r.mu.Unlock()
	if len(line) > 0 && err == nil {
		_, _ = first.Write(line) // fails only if nobody listens any more
	}
	_ = first.Close()

	sample := make([]byte, chatterSample)
	n, _ := io.ReadAtLeast(in, sample, 1)
	if n > 0 {
		r.logs.chatter(string(sample[:n]))
		_, _ = io.Copy(io.Discard, in) // ends with the process
	}
}

// handshake returns the first line of stdout, and whether there was one.
func (r *runner) handshake() (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.first, r.gotFirst
}

// Wait implements runner.Runner: it returns when the process and its output
// have ended, or with ctx.
func (r *runner) Wait(ctx context.Context) error {
	select {
	case <-r.exited:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Kill implements runner.Runner: it kills the whole process group at once and
// returns when it is gone, after killWait at the latest.
func (r *runner) Kill(ctx context.Context) error {
	r.mu.Lock()
	r.killed = true
	unstarted := r.pid == 0
	if !r.reaped {
		r.killGroup()
	}
	r.mu.Unlock()
	if unstarted {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, killWait)
	defer cancel()
	select {
	case <-r.exited:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("process %d does not end after SIGKILL: %w", r.pid, ctx.Err())
	}
}

// killGroup needs r.mu, and a process that is not reaped yet.
func (r *runner) killGroup() {
	if r.pid > 0 {
		_ = syscall.Kill(-r.pid, syscall.SIGKILL) // ESRCH: nobody left
	}
}

// exit describes how the process ended, or that it did not.
func (r *runner) exit() Exit {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := Exit{PID: r.pid, Time: r.ended, Code: -1, Crash: r.logs.crashText(), Output: r.logs.lastLines()}
	if r.state == nil {
		return e
	}
	e.Code = r.state.ExitCode()
	if ws, ok := r.state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		e.Signal = ws.Signal().String()
	}
	return e
}

// Stdout implements runner.Runner.
func (r *runner) Stdout() io.ReadCloser { return r.stdout }

// Stderr implements runner.Runner. It is empty: see runner.
func (r *runner) Stderr() io.ReadCloser { return io.NopCloser(strings.NewReader("")) }

// Name implements runner.Runner.
func (r *runner) Name() string { return r.exe.path }

// ID implements runner.Runner.
func (r *runner) ID() string { return strconv.Itoa(r.pid) }

// Diagnose implements runner.Runner. The host says itself what went wrong.
func (r *runner) Diagnose(context.Context) string { return "" }

// PluginToHost implements runner.Runner: both sides share one file system.
func (r *runner) PluginToHost(network, addr string) (string, string, error) {
	if network != "unix" {
		return "", "", fmt.Errorf("plugin listens on %q, want a unix socket", network)
	}
	return network, addr, nil
}

// HostToPlugin implements runner.Runner.
func (r *runner) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}

// pipes connect the host with a plugin process; R ends are read from.
type pipes struct {
	stdoutR, stdoutW, stderrR, stderrW, lifelineR, lifelineW *os.File
}

func newPipes() (*pipes, error) {
	p := &pipes{}
	var errs [3]error
	p.stdoutR, p.stdoutW, errs[0] = os.Pipe()
	p.stderrR, p.stderrW, errs[1] = os.Pipe()
	p.lifelineR, p.lifelineW, errs[2] = os.Pipe()
	if err := errors.Join(errs[:]...); err != nil {
		p.closeChildEnds()
		p.closeHostEnds()
		return nil, err
	}
	return p, nil
}

func (p *pipes) closeChildEnds() { closeFiles(p.stdoutW, p.stderrW, p.lifelineR) }
func (p *pipes) closeHostEnds()  { closeFiles(p.stdoutR, p.stderrR, p.lifelineW) }

// closeFiles closes pipe ends, of which some may be missing.
func closeFiles(files ...*os.File) {
	for _, f := range files {
		_ = f.Close() // nil or already closed: nothing to do
	}
}
