// The devcluster command runs Kubernetes control planes on this machine for
// development and tests: real ones, built from source, with fake nodes. See
// README.md.
package main

import (
	"context"
	_ "embed"
	"os"
	"os/signal"
	"syscall"

	"github.com/sluice-gitops/sluice/scripts/devcluster/cli"
)

// The module that builds this command also pins the programs of the clusters.
// They are embedded so that the command works without the checkout.
var (
	//go:embed go.mod
	modFile []byte
	//go:embed go.sum
	sumFile []byte
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, cli.Options{
		Args: os.Args[1:], Stdout: os.Stdout, Stderr: os.Stderr, ModFile: modFile, SumFile: sumFile,
	})
	stop()
	os.Exit(code)
}
