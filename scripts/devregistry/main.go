// The devregistry command runs a real image registry on this machine, behind a
// front that records requests, injects faults and asks for credentials, with
// fakes of the clouds that issue them. It is for development, tests and
// benches. See README.md.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
