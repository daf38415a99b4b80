package client

import "github.com/sluice-gitops/sluice/sdk/internal/plug"

// Validation is the JSON that `BINARY validate` reads from standard input.
type Validation = plug.Validation

// Verdict is the JSON that it prints. Its method Diagnostics returns a list
// for each configuration.
type Verdict = plug.Verdict
