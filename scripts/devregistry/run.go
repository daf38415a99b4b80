package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// ready is the line that tells who started the command where everything is.
type ready struct {
	Registry  string            `json:"registry"` // host:port
	CA        string            `json:"ca,omitempty"`
	Control   string            `json:"control"`   // URL
	Endpoints map[string]string `json:"endpoints"` // URLs of the clouds' servers
	Env       map[string]string `json:"env"`       // for SDKs of the clouds
}

// run serves until ctx is cancelled or stdin is closed, or pushes, and returns
// the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 1 && args[0] == "push" {
		return exitCode(stderr, push(ctx, args[1:]))
	}
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	}
	return exitCode(stderr, serve(ctx, o, stdin, stdout, stderr))
}

func exitCode(stderr io.Writer, err error) int {
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "devregistry:", err) // there is nobody else to tell
		return exitFailed
	}
	return exitOK
}

func serve(ctx context.Context, o options, stdin io.Reader, stdout, stderr io.Writer) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dir, err := os.MkdirTemp("", "devregistry-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	registryLog, level := io.Discard, slog.LevelWarn
	if o.verbose {
		registryLog, level = stderr, slog.LevelDebug
	}
	s := &server{
		options: o, dir: dir, registryLog: registryLog,
		log: slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level})),
	}
	defer func() { err = errors.Join(err, s.close()) }()
	addresses, err := s.start(ctx)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(stdout).Encode(addresses); err != nil {
		return fmt.Errorf("print the addresses: %w", err)
	}
	closed := make(chan struct{})
	go func() { // ends with the process if nobody closes stdin
		_, _ = io.Copy(io.Discard, stdin)
		close(closed)
	}()
	select {
	case <-ctx.Done():
	case <-closed:
	}
	return nil
}
