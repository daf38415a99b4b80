package releases

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/sdk/helm"
)

// progress turns what Helm logs into events. What it does not know is dropped:
// Helm's messages may hold values.
type progress struct {
	emit  func(helm.Event)
	attrs []slog.Attr
	found *findings // shared by the handlers that WithAttrs makes
}

// findings are what Helm logs instead of returning it.
type findings struct {
	mu      sync.Mutex
	reasons []string
	awaited string // kind/name of an object that a wait is for
}

// told are the messages that are worth an event, in our words. With an error,
// the operation goes on to fail, and does not always say why.
var told = map[string]string{
	"Created resource via patch":                            "created",
	"created a new resource":                                "created",
	"Patched resource":                                      "applied",
	"replace succeeded":                                     "replaced",
	"deleting resource":                                     "deleting",
	"starting delete resource":                              "deleting",
	"skipping delete of resource not owned by this release": "kept, as it is not the release's",
	"waiting for resources to be deleted":                   "waiting until the objects are gone",
}

// reasons are the messages whose error Helm keeps to itself.
var reasons = []string{"uninstall: Failed to delete release", "uninstall: Failed to store updated release"}

// awaits is the message that names one of the objects that are waited for.
const awaits = "waiting for resource"

func (f *findings) await(object string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.awaited = object
}

func (f *findings) waitedFor() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.awaited
}

func newProgress(emit func(helm.Event)) *progress {
	if emit == nil {
		emit = func(helm.Event) {}
	}
	return &progress{emit: emit, found: &findings{}}
}

// Enabled implements slog.Handler.
func (p *progress) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (p *progress) Handle(_ context.Context, r slog.Record) error {
	if slices.Contains(reasons, r.Message) {
		if err := p.attr(r, "error"); err != "" {
			p.found.mu.Lock()
			p.found.reasons = append(p.found.reasons, oneLine(err))
			p.found.mu.Unlock()
		}
		return nil
	}
	if r.Message == awaits {
		p.found.await(p.object(r))
		return nil
	}
	message, ok := told[r.Message]
	if !ok {
		return nil
	}
	p.emit(helm.Event{Time: r.Time, Message: message, Object: p.object(r)})
	return nil
}

// object names what a record is about.
func (p *progress) object(r slog.Record) string {
	name, kind := p.attr(r, "name"), p.attr(r, "kind")
	if _, after, ok := strings.Cut(p.attr(r, "gvk"), "Kind="); ok {
		kind = after
	}
	if kind == "" || name == "" {
		return ""
	}
	return kind + "/" + name
}

func (p *progress) attr(r slog.Record, key string) string {
	value := ""
	for _, a := range p.attrs {
		if a.Key == key {
			value = a.Value.String()
		}
	}
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == key {
			value = a.Value.String()
		}
		return true
	})
	return value
}

// WithAttrs implements slog.Handler.
func (p *progress) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &progress{p.emit, slices.Concat(p.attrs, attrs), p.found}
}

// WithGroup implements slog.Handler.
func (p *progress) WithGroup(string) slog.Handler { return p }

// kept returns what Helm has kept to itself.
func (p *progress) kept() string {
	p.found.mu.Lock()
	defer p.found.mu.Unlock()
	return strings.Join(p.found.reasons, "; ")
}

// say emits an event of our own.
func (p *progress) say(format string, args ...any) {
	p.emit(helm.Event{Time: time.Now(), Message: fmt.Sprintf(format, args...)})
}

// output is where the logs of a hook go that asks for it: the last of it
// becomes an event.
func (p *progress) output(_, pod, container string) io.Writer {
	return &tail{emit: func(text string) {
		p.emit(helm.Event{Time: time.Now(), Object: "Pod/" + pod, Message: container + ": " + text})
	}}
}

// tail emits lines, up to a limit.
type tail struct {
	emit func(string)
	sent int
}

// mostOutput of one container, in bytes.
const mostOutput = 16 << 10

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	if left := mostOutput - t.sent; left > 0 {
		text := strings.TrimRight(string(b[:min(len(b), left)]), "\n")
		if t.sent += len(b); text != "" {
			t.emit(text)
		}
	}
	return len(b), nil
}
