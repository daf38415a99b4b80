package sdktest_test

import (
	"context"
	"os"
	"path/filepath"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/secret"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// script is a source whose methods a test gives; nil ones do nothing.
type script struct {
	env     sdk.Env
	resolve func(ctx context.Context, s *script) (source.Revision, error)
	fetch   func(ctx context.Context, s *script, dir string) error
	log     func(ctx context.Context, emit func(source.Entry)) error
	commit  func(c source.Change) (source.Revision, error)
	close   func() error
}

type scriptConfig struct {
	Token secret.Secret `hcl:"token,optional"`
	Name  string        `hcl:"name" default:"x"`
}

// Validate refuses one name and warns of another.
func (c *scriptConfig) Validate() diag.List {
	switch c.Name {
	case "bad":
		return diag.List{diag.Errorf(diag.Attr("name"), "not this one")}
	case "old":
		return diag.List{diag.Warningf(diag.Attr("name"), "rather not this one")}
	}
	return nil
}

func (s script) plugin() sdk.Plugin {
	open := func(_ context.Context, _ scriptConfig, env sdk.Env) (*script, error) {
		opened := s
		opened.env = env
		return &opened, nil
	}
	return sdk.Plugin{Name: "script", Version: "0.1.0", Kinds: []sdk.Kind{source.New("script", open)}}
}

func (s *script) Resolve(ctx context.Context, _ source.Revision) (source.Revision, error) {
	if s.resolve == nil {
		return source.Revision{ID: "1"}, nil
	}
	return s.resolve(ctx, s)
}

func (s *script) Fetch(ctx context.Context, rev source.Revision, dir string) error {
	if s.fetch == nil {
		return os.WriteFile(filepath.Join(dir, "file"), []byte(rev.ID), 0o600)
	}
	return s.fetch(ctx, s, dir)
}

func (s *script) Log(ctx context.Context, _, to source.Revision, emit func(source.Entry)) error {
	if s.log == nil {
		return nil
	}
	return s.log(ctx, emit)
}

func (s *script) Commit(_ context.Context, c source.Change) (source.Revision, error) {
	return s.commit(c)
}

func (s *script) Close() error {
	if s.close == nil {
		return nil
	}
	return s.close()
}
