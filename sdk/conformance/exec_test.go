package conformance

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseHandshake(t *testing.T) {
	tests := []struct{ line, socket, err string }{
		{"1|1|unix|/tmp/x|grpc|", "/tmp/x", ""},
		{"1|1|unix|/tmp/x|grpc", "/tmp/x", ""},
		{"1|1|unix|/tmp/x|grpc||true", "/tmp/x", ""},
		{"hello", "", "is no handshake"},
		{"", "", "is no handshake"},
		{"2|1|unix|/tmp/x|grpc|", "", "first part"},
		{"1|9|unix|/tmp/x|grpc|", "", `speaks protocol "9", want 1`},
		{"1|1|tcp|127.0.0.1:1|grpc|", "", "want a unix socket"},
		{"1|1|unix|/tmp/x|netrpc|", "", "want grpc"},
	}
	for _, tc := range tests {
		socket, err := parseHandshake(tc.line)
		if socket != tc.socket || (err == nil) != (tc.err == "") || (err != nil && !strings.Contains(err.Error(), tc.err)) {
			t.Errorf("parseHandshake(%q) = %q, %v; want %q, %q", tc.line, socket, err, tc.socket, tc.err)
		}
	}
}

// Programs that are no plugins are refused with a reason, and leave nothing.
func TestBinaryRefusesStrangers(t *testing.T) {
	tests := map[string]struct{ script, want string }{
		"exits":    {"echo cannot find my library >&2; exit 3", "cannot find my library"},
		"greets":   {"echo hello; exec sleep 60", "is no handshake"},
		"old":      {"echo '1|0|unix|/x|grpc|'; exec sleep 60", `speaks protocol "0"`},
		"no shell": {"", "no such file"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			path := filepath.Join(t.TempDir(), "plugin")
			if tc.script != "" {
				if err := os.WriteFile(path, []byte("#!/bin/sh\n"+tc.script+"\n"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			_, err := Binary(path)(t.Context())
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
			if left, _ := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestBinaryGivesUpWhenCancelled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plugin")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexec sleep 60\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Binary(path)(ctx); err == nil {
		t.Error("a program that says nothing passes for a plugin")
	}
}

func TestRunReports(t *testing.T) {
	s := &Subject{Kind: "source", Writable: true, Start: func(context.Context) (*Process, error) { return nil, context.Canceled }}
	n := 0
	ok := Run(t.Context(), s, func(r Result) {
		n++
		if r.Outcome != Failed || len(r.Messages) == 0 || !strings.Contains(r.Messages[0], "does not start") {
			t.Errorf("%+v", r)
		}
	})
	if ok || n != len(Checks("source")) {
		t.Errorf("ok: %t, %d results", ok, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if Run(ctx, s, func(r Result) { t.Errorf("after the end: %+v", r) }) {
		t.Error("what was not checked is ok")
	}
}

// A check that fails, skips or panics ends, and what it made is removed.
func TestRunOne(t *testing.T) {
	var dir string
	tests := map[string]struct {
		run  func(T, *Subject)
		want Outcome
		text string
	}{
		"ok":     {func(t T, _ *Subject) { dir = t.TempDir() }, OK, ""},
		"fatal":  {func(t T, _ *Subject) { dir = t.TempDir(); t.Fatalf("no %d", 1); panic("unreachable") }, Failed, "no 1"},
		"skip":   {func(t T, _ *Subject) { dir = t.TempDir(); t.Skipf("why"); panic("unreachable") }, Skipped, "why"},
		"panics": {func(t T, _ *Subject) { dir = t.TempDir(); panic("oops") }, Failed, "oops"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := runOne(t.Context(), nil, Check{name, tc.run})
			if r.Outcome != tc.want || !strings.Contains(strings.Join(r.Messages, " "), tc.text) {
				t.Errorf("%+v", r)
			}
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("%s is still there: %v", dir, err)
			}
		})
	}
}
