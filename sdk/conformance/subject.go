package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"

	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/schema"
)

// Subject is what is checked. Its methods are for checks; it must not be used
// by two at once.
type Subject struct {
	// Kind and Type are what the plugin is asked to open.
	Kind, Type string
	// Config is a configuration that works.
	Config json.RawMessage
	// Start starts the plugin.
	Start func(ctx context.Context) (*Process, error)

	// Writable says that a source may be written to: that nobody minds new
	// files, branches and markers in it. The checks leave some behind.
	Writable bool

	// Objects are samples for an applier. They must be legal in the target,
	// not exist there, and be harmless; the checks create and delete them.
	Objects []applier.Item
	// Images are samples for a credential provider, which must have a
	// credential for each.
	Images []registry.Request
	// Tree is a directory for a renderer to render, and Paths what of it, "."
	// if empty; or the chart that a helm installs in Namespace, which must
	// exist. Nobody changes it meanwhile.
	Tree      string
	Paths     []string
	Namespace string

	process *Process
	opened  int
}

// Process is a running plugin. Only Conn, Log and Stop are always there; the
// others are nil if the plugin is not a process of its own.
type Process struct {
	Conn grpc.ClientConnInterface
	// HostServices says that the host's services are served to it.
	HostServices bool
	// Log returns what the plugin has logged so far.
	Log func() string
	// Stop ends the plugin in an orderly way and waits for it.
	Stop func(ctx context.Context) error
	// Describe runs the binary with the argument "describe".
	Describe func(ctx context.Context) ([]byte, error)
	// Validate runs the binary with the argument "validate".
	Validate func(ctx context.Context, stdin []byte) ([]byte, error)
	// Stdout returns what the plugin printed to standard output after the
	// handshake.
	Stdout func() string
	// Signal sends a signal.
	Signal func(os.Signal) error
	// Abandon closes the lifeline, as if the host had died, and waits for the
	// plugin to exit by itself.
	Abandon func(ctx context.Context) error
}

// Close stops the plugin, if it runs.
func (s *Subject) Close() error {
	if s.process == nil {
		return nil
	}
	p := s.process
	s.process = nil
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return p.Stop(ctx)
}

// running returns the plugin, which it starts if need be.
func (s *Subject) running(t T) *Process {
	t.Helper()
	if s.process != nil {
		return s.process
	}
	p, err := s.Start(t.Context())
	if err != nil {
		t.Fatalf("the plugin does not start: %v", err)
	}
	s.process = p
	return p
}

// plugin returns the client of the running plugin.
func (s *Subject) plugin(t T) *client.Plugin {
	t.Helper()
	return client.NewPlugin(s.running(t).Conn)
}

// request returns what opens a new instance with the working configuration.
func (s *Subject) request(t T) client.OpenRequest {
	s.opened++
	return client.OpenRequest{
		Kind: s.Kind, Type: s.Type,
		Name:         fmt.Sprintf("%s.%s.check%d", s.Kind, s.Type, s.opened),
		Config:       s.Config,
		Dir:          t.TempDir(),
		LogLevel:     "trace",
		HostServices: s.running(t).HostServices,
	}
}

// open opens an instance, which the check should close.
func (s *Subject) open(t T) client.Opened {
	t.Helper()
	opened, _, err := s.plugin(t).Open(t.Context(), s.request(t))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return opened
}

// closed closes an instance and fails if that takes longer than promptly.
func (s *Subject) closed(t T, instance string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), promptly)
	defer cancel()
	if err := s.plugin(t).Close(ctx, instance); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// promptly is how fast a cancelled call must return.
const promptly = 2 * time.Second

// caller calls an instance directly.
func (s *Subject) caller(t T, o client.Opened) client.Caller {
	t.Helper()
	return client.Direct(s.running(t).Conn, o.Instance)
}

// offer returns how the plugin describes what is checked.
func (s *Subject) offer(t T) client.KindDescription {
	t.Helper()
	d, err := s.plugin(t).Describe(t.Context())
	if err != nil {
		t.Fatalf("Describe: %v", err)
	}
	for _, k := range d.Kinds {
		if k.Kind == s.Kind && k.Type == s.Type {
			return k
		}
	}
	t.Fatalf("the plugin does not offer %s/%s", s.Kind, s.Type)
	return client.KindDescription{}
}

// secrets returns the sensitive values of the configuration that are long
// enough to look for.
func (s *Subject) secrets(t T) []string {
	t.Helper()
	var config any
	if len(s.Config) > 0 {
		if err := json.Unmarshal(s.Config, &config); err != nil {
			t.Fatalf("the configuration is not JSON: %v", err)
		}
	}
	return sensitive(s.offer(t).Schema, config)
}

func sensitive(sch *schema.Schema, config any) []string {
	const shortest = 6
	object, ok := config.(map[string]any)
	if !ok {
		return nil
	}
	var found []string
	for _, a := range sch.Attributes {
		for _, text := range texts(object[a.Name]) {
			if a.Sensitive && len(text) >= shortest {
				found = append(found, text)
			}
		}
	}
	for _, b := range sch.Blocks {
		for _, body := range bodies(b.Nesting, object[b.Name]) {
			found = append(found, sensitive(&b.Body, body)...)
		}
	}
	return found
}

// texts returns all strings in a JSON value.
func texts(value any) []string {
	var found []string
	switch v := value.(type) {
	case string:
		found = append(found, v)
	case []any:
		for _, e := range v {
			found = append(found, texts(e)...)
		}
	case map[string]any:
		for _, e := range v {
			found = append(found, texts(e)...)
		}
	}
	return found
}

// bodies returns the objects that the blocks of one name decoded to.
func bodies(n schema.Nesting, value any) []any {
	switch v := value.(type) {
	case []any:
		return v
	case map[string]any:
		if n == schema.Single {
			return []any{v}
		}
		all := make([]any, 0, len(v))
		for _, e := range v {
			all = append(all, e)
		}
		return all
	}
	return nil
}

// isClean tells whether err was reported by the plugin, and not by a broken
// connection or a panic.
func isClean(err error) bool {
	return err != nil && !errors.Is(err, client.ErrTransport) && !errors.Is(err, client.ErrPanic)
}
