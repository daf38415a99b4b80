// Package conformance is the contract of plugins in the form of checks that
// can be run against any plugin, in any language. `sluice plugin check BINARY`
// runs them against a binary, and package sdktest as tests of a plugin's own.
//
// The checks of a kind need a Subject: what to open, with which configuration,
// and how to start the plugin. Some kinds need samples to work with; checks
// without the sample they need are skipped.
package conformance

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/sdk/client"
)

// T is what a check needs of a test. *testing.T implements it.
type T interface {
	Helper()
	Context() context.Context
	TempDir() string
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
}

// Check is one requirement.
type Check struct {
	Name string // words joined by hyphens
	Run  func(t T, s *Subject)
}

// Checks returns the checks for plugins of a kind, in the order in which they
// are best run: those that end the process and those that look back at all
// that happened come last.
func Checks(kind string) []Check {
	checks := slices.Clone(general)
	switch kind {
	case client.KindSource:
		checks = append(append(checks, sourceChecks...), commitChecks...)
	case client.KindApplier:
		checks = append(checks, applierChecks...)
	case client.KindRegistry:
		checks = append(checks, registryChecks...)
	case client.KindRenderer:
		checks = append(checks, rendererChecks...)
	case client.KindHelm:
		checks = append(checks, helmChecks...)
	}
	return append(checks, final...)
}

// Outcome of a check.
type Outcome string

const (
	OK      Outcome = "ok"
	Failed  Outcome = "failed"
	Skipped Outcome = "skipped"
)

// Result of a check.
type Result struct {
	Name     string        `json:"name"`
	Outcome  Outcome       `json:"outcome"`
	Messages []string      `json:"messages,omitempty"` // why it failed or was skipped, and notes
	Took     time.Duration `json:"took"`               // in nanoseconds
}

// Timeout bounds each check.
const Timeout = 2 * time.Minute

// Run runs all checks of the subject's kind, one after the other, and reports
// each as it ends. It returns whether none failed, and closes the subject. It
// ends early when ctx does.
func Run(ctx context.Context, s *Subject, report func(Result)) bool {
	ok := true
	for _, c := range Checks(s.Kind) {
		if ctx.Err() != nil {
			return false
		}
		r := runOne(ctx, s, c)
		ok = ok && r.Outcome != Failed
		report(r)
	}
	if err := s.Close(); err != nil {
		report(Result{Name: "stop", Outcome: Failed, Messages: []string{err.Error()}})
		return false
	}
	return ok
}

// runOne runs one check on a goroutine of its own, since Fatalf ends it.
func runOne(ctx context.Context, s *Subject, c Check) Result {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	t := &run{ctx: ctx}
	start := time.Now()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer t.removeDirs()
		defer func() {
			if r := recover(); r != nil {
				t.Errorf("the check panicked: %v\n%s", r, debug.Stack())
			}
		}()
		c.Run(t, s)
	}()
	<-done
	return t.result(c.Name, time.Since(start))
}

// run is the T of Run.
type run struct {
	ctx context.Context

	mu       sync.Mutex
	failed   bool
	skipped  bool
	messages []string
	dirs     []string
}

func (r *run) Helper() {}

func (r *run) Context() context.Context { return r.ctx }

func (r *run) TempDir() string {
	dir, err := os.MkdirTemp("", "sluice-check-")
	if err != nil {
		r.Fatalf("make a directory: %v", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dirs = append(r.dirs, dir)
	return dir
}

func (r *run) Logf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.messages = append(r.messages, strings.TrimSpace(fmt.Sprintf(format, args...)))
}

func (r *run) Errorf(format string, args ...any) {
	r.Logf(format, args...)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
}

func (r *run) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

func (r *run) Skipf(format string, args ...any) {
	r.Logf(format, args...)
	r.mu.Lock()
	r.skipped = true
	r.mu.Unlock()
	runtime.Goexit()
}

func (r *run) removeDirs() {
	for _, dir := range r.dirs {
		if err := os.RemoveAll(dir); err != nil {
			r.Errorf("remove what the check left: %v", err)
		}
	}
}

func (r *run) result(name string, took time.Duration) Result {
	res := Result{Name: name, Outcome: OK, Messages: r.messages, Took: took}
	switch {
	case r.failed:
		res.Outcome = Failed
	case r.skipped:
		res.Outcome = Skipped
	}
	return res
}
