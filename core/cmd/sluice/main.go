// Command sluice keeps Kubernetes clusters equal to git.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/sluice-gitops/sluice/core/cli"
)

func main() {
	if err := forbidCoreDumps(); err != nil {
		fmt.Fprintln(os.Stderr, "sluice: core dumps, which would hold secrets, cannot be switched off:", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(cli.Main(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
