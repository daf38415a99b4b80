package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/sluice-gitops/sluice/sdk/handshake"
)

// startTimeout is how long a plugin has from its start to the handshake.
const startTimeout = 10 * time.Second

// Binary returns a Start for the plugin binary at path. The plugin gets no
// host services, a temporary directory of its own, and of the environment
// PATH, HOME and env, each "NAME=value".
//
// It follows the handshake to the letter and uses no library for it, so that
// it sees what a library would hide.
func Binary(path string, env ...string) func(ctx context.Context) (*Process, error) {
	return func(ctx context.Context) (*Process, error) {
		b, err := launch(ctx, path, env)
		if err != nil {
			return nil, err
		}
		return &Process{
			Conn:   b.conn,
			Log:    b.stderr.String,
			Stop:   b.stop,
			Stdout: func() string { _, rest, _ := strings.Cut(b.stdout.String(), "\n"); return rest },
			Signal: func(sig os.Signal) error { return b.cmd.Process.Signal(sig) },
			Abandon: func(ctx context.Context) error {
				return b.abandon(ctx)
			},
			Describe: func(ctx context.Context) ([]byte, error) {
				return ask(ctx, path, env, "describe", nil)
			},
			Validate: func(ctx context.Context, stdin []byte) ([]byte, error) {
				return ask(ctx, path, env, "validate", stdin)
			},
		}, nil
	}
}

// ask runs the binary as a person does, without the cookie.
func ask(ctx context.Context, path string, env []string, question string, stdin []byte) ([]byte, error) {
	cmd := exec.CommandContext(ctx, path, question)
	cmd.Env = environment("", env)
	cmd.Stdin = bytes.NewReader(stdin)
	return cmd.Output()
}

// binary is a started process.
type binary struct {
	cmd      *exec.Cmd
	dir      string
	lifeline *os.File // its end keeps the process alive
	stdout   *output
	stderr   *output
	exited   chan struct{}
	conn     *grpc.ClientConn
}

// launch starts the process and meets it. On an error nothing is left.
func launch(ctx context.Context, path string, env []string) (_ *binary, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "sluice-plug-") // short: a socket's path has a limit
	if err != nil {
		return nil, err
	}
	b := &binary{dir: dir, stdout: newOutput(), stderr: newOutput(), exited: make(chan struct{})}
	defer func() {
		if err != nil {
			b.kill()
		}
	}()
	if err := b.start(path, env); err != nil {
		return nil, err
	}
	address, err := b.shakeHands(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w; its log:\n%s", err, b.stderr)
	}
	options := append(handshake.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	b.conn, err = grpc.NewClient("unix:"+address, options...)
	return b, err
}

func (b *binary) start(path string, env []string) error {
	theirs, ours, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = theirs.Close() }() // the child has its own copy
	b.lifeline = ours
	cmd := exec.Command(path)
	cmd.Env = append(environment(b.dir, env),
		handshake.CookieKey+"="+handshake.CookieValue,
		handshake.LifelineEnv+"=3",
		"PLUGIN_PROTOCOL_VERSIONS="+strconv.Itoa(handshake.ProtocolVersion),
		"PLUGIN_UNIX_SOCKET_DIR="+b.dir,
	)
	cmd.ExtraFiles = []*os.File{theirs} // descriptor 3
	cmd.Stdout, cmd.Stderr = b.stdout, b.stderr
	cmd.WaitDelay = time.Second // for grandchildren that keep the streams
	if err := cmd.Start(); err != nil {
		return err
	}
	b.cmd = cmd
	go func() { // ends with the process
		defer close(b.exited)
		_ = cmd.Wait() // how it ended does not matter: that it did is what is asked for
	}()
	return nil
}

func environment(tmp string, env []string) []string {
	out := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	if tmp != "" {
		out = append(out, "TMPDIR="+tmp)
	}
	return append(out, env...)
}

// shakeHands waits for the line that tells where the plugin listens.
func (b *binary) shakeHands(ctx context.Context) (socket string, err error) {
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case <-b.stdout.firstLine:
	case <-b.exited:
		return "", errors.New("the plugin exited before the handshake")
	case <-timeout.C:
		return "", fmt.Errorf("no handshake within %v", startTimeout)
	case <-ctx.Done():
		return "", ctx.Err()
	}
	line, _, _ := strings.Cut(b.stdout.String(), "\n")
	return parseHandshake(line)
}

// parseHandshake reads CORE|PROTOCOL|NETWORK|ADDRESS|grpc|CERTIFICATE, of
// which the last, and what may follow it, are not used without TLS.
func parseHandshake(line string) (socket string, err error) {
	parts := strings.Split(strings.TrimSpace(line), "|")
	switch {
	case len(parts) < 5:
		return "", fmt.Errorf("the first line on standard output is no handshake: %.200q", line)
	case parts[0] != "1":
		return "", fmt.Errorf("the handshake's first part is %q, want 1", parts[0])
	case parts[1] != strconv.Itoa(handshake.ProtocolVersion):
		return "", fmt.Errorf("the plugin speaks protocol %q, want %d", parts[1], handshake.ProtocolVersion)
	case parts[2] != "unix":
		return "", fmt.Errorf("the plugin listens on %q, want a unix socket", parts[2])
	case parts[4] != "grpc":
		return "", fmt.Errorf("the plugin speaks %q, want grpc", parts[4])
	}
	return parts[3], nil
}

// stop says goodbye and waits for the process.
func (b *binary) stop(ctx context.Context) error {
	defer b.kill()
	// The answer may be lost, since the plugin stops its server.
	_ = b.conn.Invoke(ctx, "/plugin.GRPCController/Shutdown", &emptypb.Empty{}, &emptypb.Empty{})
	return b.wait(ctx)
}

// abandon lets go of the lifeline and waits for the process.
func (b *binary) abandon(ctx context.Context) error {
	defer b.kill()
	if err := b.lifeline.Close(); err != nil {
		return err
	}
	return b.wait(ctx)
}

func (b *binary) wait(ctx context.Context) error {
	select {
	case <-b.exited:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the process does not exit: %w", ctx.Err())
	}
}

// kill leaves nothing of the process. It may be called in any state, and more
// than once.
func (b *binary) kill() {
	if b.conn != nil {
		_ = b.conn.Close()
	}
	if b.cmd != nil {
		_ = b.cmd.Process.Kill() // an error means that it has exited
		<-b.exited
	}
	if b.lifeline != nil {
		_ = b.lifeline.Close()
	}
	_ = os.RemoveAll(b.dir)
}

// maxOutput bounds what is kept of a stream.
const maxOutput = 16 << 20

// output keeps the beginning of a stream.
type output struct {
	firstLine chan struct{} // closed once there is one

	mu   sync.Mutex
	buf  bytes.Buffer
	line bool
}

var _ io.Writer = (*output)(nil)

func newOutput() *output { return &output{firstLine: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf.Write(p[:min(len(p), maxOutput-o.buf.Len())])
	if !o.line && bytes.IndexByte(p, '\n') >= 0 {
		o.line = true
		close(o.firstLine)
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
