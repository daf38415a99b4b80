package sdktest

import (
	"context"
	"encoding/json"
	"testing"

	"google.golang.org/grpc"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/conformance"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

// Source runs the conformance suite for sources of type typ as subtests.
// config is a working configuration of a source that nobody changes meanwhile.
func Source(t *testing.T, p sdk.Plugin, typ string, config any) {
	t.Helper()
	run(t, p, &conformance.Subject{Kind: client.KindSource, Type: typ}, config)
}

// WritableSource is Source for one that may be written to: the checks leave
// files, branches and markers in it.
func WritableSource(t *testing.T, p sdk.Plugin, typ string, config any) {
	t.Helper()
	run(t, p, &conformance.Subject{Kind: client.KindSource, Type: typ, Writable: true}, config)
}

// Applier runs the conformance suite for appliers of type typ as subtests.
// objects are samples that the target accepts and does not hold; the checks
// create and delete them.
func Applier(t *testing.T, p sdk.Plugin, typ string, config any, objects []applier.Item) {
	t.Helper()
	run(t, p, &conformance.Subject{Kind: client.KindApplier, Type: typ, Objects: objects}, config)
}

// Registry runs the conformance suite for credential providers of type typ as
// subtests. images are what the provider has credentials for.
func Registry(t *testing.T, p sdk.Plugin, typ string, config any, images []registry.Request) {
	t.Helper()
	run(t, p, &conformance.Subject{Kind: client.KindRegistry, Type: typ, Images: images}, config)
}

// Renderer runs the conformance suite for renderers of type typ as subtests.
// tree is a directory that it can render, paths what of it, all by default.
func Renderer(t *testing.T, p sdk.Plugin, typ string, config any, tree string, paths ...string) {
	t.Helper()
	run(t, p, &conformance.Subject{Kind: client.KindRenderer, Type: typ, Tree: tree, Paths: paths}, config)
}

// Helm runs the conformance suite for helms of type typ as subtests. chart is
// the directory of one that installs without values in namespace, which exists;
// the checks remove what they install.
func Helm(t *testing.T, p sdk.Plugin, typ string, config any, chart, namespace string) {
	t.Helper()
	run(t, p, &conformance.Subject{Kind: client.KindHelm, Type: typ, Tree: chart, Namespace: namespace}, config)
}

func run(t *testing.T, p sdk.Plugin, s *conformance.Subject, config any) {
	t.Helper()
	s.Start = func(context.Context) (*conformance.Process, error) { return start(t, p) }
	if config != nil {
		s.Config = (&Harness{t: t}).encode(config)
	}
	if s.Config == nil {
		s.Config = json.RawMessage("{}")
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("stop the plugin: %v", err)
		}
	})
	for _, c := range conformance.Checks(s.Kind) {
		t.Run(c.Name, func(t *testing.T) { c.Run(t, s) })
	}
}

// start makes a harness for the whole suite; its host knows every instance.
func start(t testing.TB, p sdk.Plugin) (*conformance.Process, error) {
	h := &Harness{t: t, host: NewHost(), log: &logBuffer{}}
	h.host.trusting = true
	if err := h.start(p); err != nil {
		return nil, err
	}
	return &conformance.Process{
		Conn:         grpc.ClientConnInterface(h.conn),
		HostServices: true,
		Log:          h.log.String,
		Stop: func(context.Context) error {
			h.stop()
			return nil
		},
	}, nil
}
