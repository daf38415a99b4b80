package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"

	"google.golang.org/grpc"

	"github.com/sluice-gitops/sluice/sdk/handshake"
)

// streams are the standard streams of the process, arranged so that only the
// handshake reaches the real standard output. It belongs to the protocol, and
// a stray line on it confuses the host.
type streams struct {
	stdout, stderr *os.File  // what the author's code shall see
	log            io.Writer // where log lines go
}

// takeStreams points descriptor 1 at standard error, for the author's code,
// for C libraries and for child processes, and leaves the real standard output
// in os.Stdout alone, for go-plugin to write the handshake to.
func takeStreams() (*streams, error) {
	real, err := duplicate(1, "stdout")
	if err != nil {
		return nil, fmt.Errorf("keep standard output for the protocol: %w", err)
	}
	if err := replace(2, 1); err != nil {
		return nil, fmt.Errorf("point standard output at standard error: %w", err)
	}
	s := &streams{stdout: os.Stdout, stderr: os.Stderr, log: lossy{os.Stderr}}
	os.Stdout = real
	return s, nil
}

// restoreOnFirstCall gives the author's code its streams back. After the
// handshake go-plugin replaces os.Stdout and os.Stderr by pipes to the host,
// which block when the host does not read; the first call comes after that and
// before any of the author's code.
func (s *streams) restoreOnFirstCall() []grpc.ServerOption {
	restore := sync.OnceFunc(func() { os.Stdout, os.Stderr = s.stdout, s.stderr })
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			restore()
			return handle(ctx, req)
		}),
		grpc.ChainStreamInterceptor(func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
			restore()
			return handle(srv, stream)
		}),
	}
}

// lossy drops what cannot be written: when the host is gone there is nobody to
// log to, and the lifeline ends the process.
type lossy struct{ w io.Writer }

func (l lossy) Write(p []byte) (int, error) {
	if _, err := l.w.Write(p); err != nil && !errors.Is(err, syscall.EPIPE) {
		return 0, err
	}
	return len(p), nil
}

// catchSignals keeps the process alive when a terminal or a service manager
// signals the whole group: the host decides when its plugins end. The signals
// are caught, not ignored, since child processes would inherit the latter.
// Catching SIGPIPE makes writes to a closed standard error fail with EPIPE.
func catchSignals() {
	signal.Notify(make(chan os.Signal, 1), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE)
}

// watchLifeline calls gone once the host's end of the lifeline is closed,
// which also happens when the host is killed. Without a lifeline, as under
// other hosts, it does nothing. The goroutine lives as long as the process.
func watchLifeline(gone func()) error {
	text := os.Getenv(handshake.LifelineEnv)
	if text == "" {
		return nil
	}
	fd, err := strconv.Atoi(text)
	if err != nil || fd < 3 {
		return fmt.Errorf("%s=%q is not the number of a file descriptor above 2", handshake.LifelineEnv, text)
	}
	pipe, err := openLifeline(fd)
	if err != nil {
		return fmt.Errorf("%s=%d: %w", handshake.LifelineEnv, fd, err)
	}
	go func() {
		_, _ = io.Copy(io.Discard, pipe) // any end of it is the end
		gone()
	}()
	return nil
}
