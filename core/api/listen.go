package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-gitops/sluice/core/engine"
)

// Options configures Run.
type Options struct {
	Listen  string // unix:///path; empty: what the configuration says
	Version string // empty: the engine's
	Logger  *slog.Logger
}

// shutdownLimit bounds how long answers under way may take once the engine
// has stopped.
const shutdownLimit = 3 * time.Second

// Run is the daemon: the engine and its API, until ctx ends. The caller may
// have called e.Load; a configuration with errors is returned as diagnostics
// (see diag.From), and a data directory or a socket that another daemon has is
// an error that names it.
func Run(ctx context.Context, e *engine.Engine, o Options) error {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if e.Config() == nil {
		e.Load(ctx)
	}
	if err := e.ConfigError(); err != nil {
		return errors.Join(err, e.Close(ctx))
	}
	if o.Listen == "" {
		o.Listen = e.Listen()
	}
	l, err := Listen(ctx, o.Listen)
	if err != nil {
		return errors.Join(err, e.Close(ctx))
	}
	// Whoever connects before the engine has started waits for its answer.
	if err := e.Start(ctx); err != nil {
		return errors.Join(err, l.Close(), e.Close(ctx))
	}
	o.Logger.InfoContext(ctx, "the API listens", "address", o.Listen)
	stop := Serve(l, NewHandler(e, cmp.Or(o.Version, e.Version()), o.Logger), o.Logger)
	return errors.Join(e.Run(ctx), stop())
}

// Serve answers requests on l until stop is called, which ends streams, gives
// other answers a few seconds, and closes l.
func Serve(l net.Listener, h http.Handler, log *slog.Logger) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	return func() error {
		cancel()
		limit, done := context.WithTimeout(context.Background(), shutdownLimit)
		defer done()
		err := srv.Shutdown(limit)
		if err != nil {
			err = errors.Join(fmt.Errorf("api: stop: %w", err), srv.Close())
		}
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, fmt.Errorf("api: %w", served))
		}
		return err
	}
}

// Listen opens the socket of address, "unix:///path", for its owner alone. The
// socket that a killed daemon has left is replaced; one where a daemon answers
// is an error.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	path, err := socketPath(address)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("api: the directory of its socket, which is data_dir unless api { listen } says otherwise: %w", err)
	}
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	// The socket is made in a directory that only its owner can enter, so that
	// there is no moment at which somebody else can connect.
	private, err := os.MkdirTemp(filepath.Dir(path), ".s")
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	defer func() { _ = os.Remove(private) }() // empty by now
	made := filepath.Join(private, "s")
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", made)
	if err != nil {
		return nil, fmt.Errorf("api: listen on %s: %w", address, err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // it is about to move
	if err := errors.Join(os.Chmod(made, 0o600), os.Rename(made, path)); err != nil {
		return nil, errors.Join(fmt.Errorf("api: %w", err), l.Close(), os.RemoveAll(private))
	}
	return &socket{Listener: l, path: path}, nil
}

// socket removes its file when it is closed.
type socket struct {
	net.Listener
	path string
}

// Close implements net.Listener.
func (s *socket) Close() error {
	err := os.Remove(s.path)
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, s.Listener.Close())
}

func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("api: %w", err)
	case info.Mode()&os.ModeSocket == 0:
		return fmt.Errorf("api: %s is there and is not a socket: remove it, or set another api { listen }", path)
	}
	conn, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "unix", path)
	if err == nil {
		return errors.Join(fmt.Errorf("api: a daemon listens on %s already", path), conn.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("api: %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("api: %w", err)
	}
	return nil
}

// maxSocketPath is what every system takes; a temporary name needs some of it.
const maxSocketPath = 90

// socketPath returns the path of a unix:// address.
func socketPath(address string) (string, error) {
	path, ok := strings.CutPrefix(address, "unix://")
	if !ok || !filepath.IsAbs(path) {
		return "", fmt.Errorf("api: address %q: want unix:///absolute/path", address)
	}
	if len(path) > maxSocketPath {
		return "", fmt.Errorf("api: %s is too long for a socket (%d bytes, at most %d): set a shorter api { listen = \"unix:///...\" }",
			path, len(path), maxSocketPath)
	}
	return filepath.Clean(path), nil
}
