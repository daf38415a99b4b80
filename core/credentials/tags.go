package credentials

import (
	"context"
	"errors"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

// tags lists by the provider's own API, if it has one.
func (s *issuer) tags(ctx context.Context, q query, emit func(registry.Tag)) (native bool, err error) {
	s.mu.Lock()
	lists := s.lists
	s.mu.Unlock()
	if !lists {
		return false, nil
	}
	in, err := s.acquire(ctx)
	if err != nil {
		return false, err
	}
	defer s.release(in)
	err = in.handle.Tags(ctx, q.request(in.forConsumers), emit)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, registry.ErrAnonymous):
		return false, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return true, s.named(err)
}
