package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// imds is Azure's instance metadata service. The SDK asks it without looking
// whether it is there, and waits long.
type imds struct {
	transport http.RoundTripper
	log       hclog.Logger

	mu      sync.Mutex // held during a probe, which others wait for
	present bool
	absent  time.Time // when it was last found missing; zero: never
	told    bool      // that the machine has no identity
}

const (
	// probeTimeout is short, because elsewhere the address leads nowhere.
	probeTimeout = time.Second
	// absence is how long the missing service is taken to be missing.
	absence = 30 * time.Second
	// imdsURL is the service's fixed address.
	imdsURL = "http://169.254.169.254/metadata/identity/oauth2/token"
)

// found reports whether the service is there. It sends a request without the
// header that it insists on: Azure's service says 400, those of other clouds
// at the same address do not know the path.
func (s *imds) found(ctx context.Context) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.present || !s.absent.IsZero() && time.Since(s.absent) < absence {
		return s.present
	}
	probe, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(probe, http.MethodGet, imdsURL, nil)
	if err != nil {
		panic(err) // the URL is a constant
	}
	resp, err := s.transport.RoundTrip(req)
	if err == nil {
		_ = resp.Body.Close() // nothing is read from it
		s.present = resp.StatusCode == http.StatusBadRequest || resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500
	}
	if !s.present && ctx.Err() == nil {
		s.absent = time.Now()
		s.log.Debug("no metadata service", "address", imdsURL, "error", err)
	}
	return s.present
}

func (s *imds) tellNone() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.told {
		s.told = true
		s.log.Info("the machine has no managed identity: images of Azure's registries are read without credentials")
	}
}
