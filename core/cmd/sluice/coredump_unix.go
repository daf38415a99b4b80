//go:build unix

package main

import "golang.org/x/sys/unix"

// forbidCoreDumps keeps the memory of this process out of files: it holds
// passwords and keys. What it starts inherits the limit: plugins, and the
// credential helpers that these run.
func forbidCoreDumps() error {
	return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}
