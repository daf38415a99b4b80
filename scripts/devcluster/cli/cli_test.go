package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// result is what a run of the command left.
type result struct {
	code           int
	stdout, stderr string
}

func run(t *testing.T, ctx context.Context, args ...string) result {
	t.Helper()
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	code := Run(ctx, Options{Args: args, Stdout: &stdout, Stderr: &stderr, ModFile: mod, Dir: t.TempDir()})
	return result{code, stdout.String(), stderr.String()}
}

func TestArguments(t *testing.T) {
	for _, test := range []struct {
		args           string
		code           int
		stdout, stderr string // parts of them
	}{
		{"", ExitUsage, "", "which command?"},
		{"help", ExitOK, "devcluster up NAME", ""},
		{"--help", ExitOK, "devcluster up NAME", ""},
		{"stop -h", ExitOK, "SIGKILL", ""},
		{"upp dev", ExitUsage, "", `no command "upp"`},
		{"up", ExitUsage, "", "usage: devcluster up NAME"},
		{"up a b", ExitUsage, "", "usage: devcluster up NAME"},
		{"up Dev", ExitUsage, "", "lower-case"},
		{"up --replicas 3 dev", ExitUsage, "", "replicas"},
		{"up dev --nodes many", ExitUsage, "", "many"},
		{"status dev -o yaml", ExitUsage, "", "want text or json"},
		{"status dev", ExitFailed, "", "devcluster up dev"},
		{"kubeconfig dev", ExitFailed, "", "devcluster up dev"},
		{"audit dev", ExitFailed, "", "devcluster up dev"},
		{"stop dev", ExitFailed, "", "no such cluster"},
		{"stop dev kubelet", ExitFailed, "", "kube-apiserver"},
		{"down dev", ExitOK, "there is no cluster dev", ""},
		{"down ../dev", ExitFailed, "", "lower-case"},
		{"list", ExitOK, "NAME", ""},
	} {
		t.Run(test.args, func(t *testing.T) {
			got := run(t, t.Context(), strings.Fields(test.args)...)
			if got.code != test.code || !strings.Contains(got.stdout, test.stdout) || !strings.Contains(got.stderr, test.stderr) {
				t.Errorf("exit %d\nstdout: %s\nstderr: %s", got.code, got.stdout, got.stderr)
			}
			if (got.stderr != "") != (test.stderr != "") {
				t.Errorf("stderr: %q", got.stderr)
			}
		})
	}
}

func TestListAsJSON(t *testing.T) {
	got := run(t, t.Context(), "list", "-o", "json")
	var list []any
	if err := json.Unmarshal([]byte(got.stdout), &list); err != nil || list == nil || len(list) != 0 {
		t.Errorf("%q: %v, %v, want an empty list", got.stdout, list, err)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	t.Setenv("GOPROXY", "off")
	got := run(t, ctx, "build")
	if got.code != ExitFailed || !strings.Contains(got.stderr, "interrupted") {
		t.Errorf("exit %d, stderr: %s", got.code, got.stderr)
	}
}
