package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	gorunner "github.com/hashicorp/go-plugin/runner"

	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/handshake"
)

// stopGrace is how long a process may take to end by itself when asked to.
const stopGrace = 3 * time.Second

// session is one run of a plugin's process, from its start to its end.
type session struct {
	p       *process
	log     *slog.Logger
	run     *runner
	rpc     *goplugin.Client
	conn    *handshake.Conn // nil if the start failed, like plugin
	plugin  *client.Plugin
	started time.Time
	sha     string // of the binary
	version string // of the plugin
	tmp     string // TMPDIR of the process

	ctx context.Context // of all calls; ends when the process does or is to
	end context.CancelFunc

	inflight int       // calls; guarded by p.mu, like what follows
	lastUse  time.Time // end of the last call
	blamed   bool      // it ended during a call

	mu      sync.Mutex
	granted map[*Instance]bool // may make host calls
	reason  string             // why the host ends it
}

// start runs the binary and returns when it answers. Everything is made anew
// for each start: go-plugin's client and configuration serve only once.
func (p *process) start(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, p.h.timing.start)
	defer cancel()
	exe, err := p.h.open(p.c)
	if err != nil {
		return nil, &startError{plugin: p.c.name, err: err}
	}
	defer func() { _ = exe.Close() }() // the process has its own descriptor
	if p.c.dev {
		p.log.Warn("starting a development override; it is not verified", "path", exe.path, "sha256", exe.sha)
	}
	d, err := p.h.describeOpen(ctx, p.c, exe)
	if err != nil {
		return nil, &startError{plugin: p.c.name, err: err}
	}
	home, tmp, err := pluginDirs(p.h.o.DataDir, p.c.name)
	if err != nil {
		return nil, &startError{plugin: p.c.name, err: err}
	}
	env := append(pluginEnv(p.h.o.Environ, d.kinds(), p.c.env, home, tmp), handshake.LogLevelEnv+"="+logLevel(p.log))
	s := &session{p: p, log: p.log, started: time.Now(), sha: exe.sha, version: d.Version, tmp: tmp, granted: map[*Instance]bool{}}
	s.run = newRunner(exe, env, home, newLogReader(p.log, p.h.scrub))
	s.rpc = goplugin.NewClient(s.clientConfig())
	s.ctx, s.end = context.WithCancel(context.Background())
	if err := s.connect(ctx); err != nil {
		err = s.explain(err)
		s.stop("it could not be started", false)
		return nil, &startError{plugin: p.c.name, err: p.h.scrub.Err(err)}
	}
	return s, nil
}

func (s *session) clientConfig() *goplugin.ClientConfig {
	return &goplugin.ClientConfig{
		HandshakeConfig:  handshake.Config(),
		VersionedPlugins: map[int]goplugin.PluginSet{handshake.ProtocolVersion: handshake.HostSet(s.hostServices())},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     s.p.h.timing.start,
		Logger:           hclog.NewNullLogger(), // the host says itself what happens
		UnixSocketConfig: &goplugin.UnixSocketConfig{TempDir: s.p.h.run.path},
		GRPCDialOptions:  handshake.DialOptions(),
		RunnerFunc: func(_ hclog.Logger, cmd *exec.Cmd, _ string) (gorunner.Runner, error) {
			s.run.env = append(s.run.env, cmd.Env...)
			return s.run, nil
		},
	}
}

// connect starts the process and waits for its first answer. go-plugin's part
// of it takes no context: when ctx ends, killing the process ends it.
func (s *session) connect(ctx context.Context) error {
	type result struct {
		conn *handshake.Conn
		err  error
	}
	dialed := make(chan result, 1)
	go func() {
		conn, err := s.dial()
		dialed <- result{conn, err}
	}()
	var r result
	select {
	case r = <-dialed:
	case <-ctx.Done():
		_ = s.run.Kill(context.Background()) // bounded; stop tries again
		select {
		case r = <-dialed:
		case <-time.After(killWait):
		}
		r.err = ctx.Err()
	}
	s.conn = r.conn
	if r.err != nil {
		return r.err
	}
	s.plugin = client.NewPlugin(s.conn)
	return s.plugin.Check(ctx, "")
}

func (s *session) dial() (*handshake.Conn, error) {
	proto, err := s.rpc.Client()
	if err != nil {
		return nil, err
	}
	raw, err := proto.Dispense(handshake.Name)
	if err != nil {
		return nil, err
	}
	return raw.(*handshake.Conn), nil // what handshake.HostSet promises
}

// explain says why a start failed in words that help: go-plugin's know
// neither the plugin nor what it did instead.
func (s *session) explain(err error) error {
	path, limit := s.run.exe.path, s.p.h.timing.start
	line, spoke := s.run.handshake()
	switch {
	case spoke && !isHandshake(line):
		return fmt.Errorf("%s wrote %.80q to its standard output where the handshake belongs: is it a Sluice plugin, and does it print nothing before sdk.Main?", path, line)
	case spoke && protocolOf(line) != handshake.ProtocolVersion:
		theirs, ours, fix := protocolOf(line), handshake.ProtocolVersion, "update sluice"
		if theirs < ours {
			fix = "update the plugin"
		}
		return fmt.Errorf("%s speaks plugin protocol %d, sluice speaks %d: %s", path, theirs, ours, fix)
	case errors.Is(err, context.DeadlineExceeded) && spoke:
		return fmt.Errorf("%s started, but did not answer within %s: %w", path, limit, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s did not become ready within %s: %w", path, limit, err)
	case within(pipeGrace, s.run.exited): // the news comes a moment after that of its closed output
		exit := s.run.exit()
		if exit.PID != 0 && (!spoke || exit.Signal != syscall.SIGKILL.String()) { // else go-plugin killed it, for err
			return fmt.Errorf("%s ended before it was ready: %s%s", path, exit, wordsOf(exit))
		}
	}
	return fmt.Errorf("%s: %w", path, err)
}

func wordsOf(e Exit) string {
	if words := e.lastWords(); words != "" {
		return ": " + words
	}
	return ""
}

// isHandshake tells whether line has go-plugin's form
// CORE|PROTOCOL|NETWORK|ADDRESS|...
func isHandshake(line string) bool {
	parts := strings.Split(line, "|")
	return len(parts) >= 4 && parts[0] == "1" && protocolOf(line) >= 0
}

func protocolOf(line string) int {
	parts := strings.Split(line, "|")
	if len(parts) < 2 {
		return -1
	}
	n, err := strconv.Atoi(parts[1])
	if err != nil {
		return -1
	}
	return n
}

// stop ends the process: by asking first if graceful, by killing its group if
// that takes too long. It returns when the process is gone, in bounded time.
func (s *session) stop(reason string, graceful bool) {
	s.mu.Lock()
	if s.reason == "" {
		s.reason = reason
	}
	s.mu.Unlock()
	s.end() // cancels what is under way
	if !graceful {
		_ = s.run.Kill(context.Background()) // bounded; below it is tried again
	}
	released := make(chan struct{})
	go func() {
		defer close(released)
		s.rpc.Kill()
		if s.conn != nil {
			<-s.conn.HostDone()
		}
	}()
	if !within(stopGrace, released) {
		_ = s.run.Kill(context.Background())
		if !within(killWait, released) {
			s.log.Error("abandoned a plugin process that does not end", "pid", s.run.ID())
		}
	}
	if err := os.RemoveAll(s.tmp); err != nil {
		s.log.Warn("cannot remove the temporary directory of a plugin", "err", err)
	}
}

// within waits for done, at most for d.
func within(d time.Duration, done <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// exited reports whether the process has ended.
func (s *session) exited() bool {
	select {
	case <-s.run.exited:
		return true
	default:
		return false
	}
}

// exit describes the end of the process. Valid once exited.
func (s *session) exit() Exit {
	e := s.run.exit()
	s.mu.Lock()
	defer s.mu.Unlock()
	e.Reason = s.reason
	return e
}

// answers asks the process for a sign of life.
func (s *session) answers() bool {
	ctx, cancel := context.WithTimeout(s.ctx, s.p.h.timing.healthLimit)
	defer cancel()
	err := s.plugin.Check(ctx, "")
	return err == nil || !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, client.ErrTransport) && ctx.Err() == nil
}

// died tells whether err, the outcome of a call, is due to the end of the
// process. News of the end may come a little later than the call's failure.
func (s *session) died(ctx context.Context, err error) bool {
	limit := s.p.h.timing.exitNotice
	switch {
	case errors.Is(err, context.Canceled) && s.ctx.Err() != nil: // it is being stopped
		limit = s.p.h.timing.closing + stopGrace + killWait
	case !errors.Is(err, client.ErrTransport):
		return false
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-s.run.exited:
		return true
	case <-ctx.Done():
	case <-timer.C:
	}
	return s.exited()
}

// logLevel is the name of the lowest level that log lets through.
func logLevel(log *slog.Logger) string {
	ctx := context.Background()
	for _, l := range []struct {
		level slog.Level
		name  string
	}{{levelTrace, "trace"}, {slog.LevelDebug, "debug"}, {slog.LevelInfo, "info"}, {slog.LevelWarn, "warn"}} {
		if log.Enabled(ctx, l.level) {
			return l.name
		}
	}
	return "error"
}
