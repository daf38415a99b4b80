package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"cloud.google.com/go/compute/metadata"
	"github.com/hashicorp/go-hclog"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

// metadataServer is the source of tokens on Compute Engine, GKE and Cloud Run:
// of the instance's service account, or with workload identity of the pod's.
//
// The SDK's own detection remembers for ever that there is no such server; it
// would not notice one that comes up after the daemon.
type metadataServer struct {
	transport http.RoundTripper
	log       hclog.Logger

	mu      sync.Mutex // held during a probe, which others wait for
	present bool
	absent  time.Time // when it was last found missing; zero: never
	told    bool      // that the machine has no service account
}

const (
	// probeTimeout is short, because elsewhere the address leads nowhere.
	probeTimeout = time.Second
	// absence is how long the missing server is taken to be missing.
	absence = 30 * time.Second
	// metadataURL is asked, if GCE_METADATA_HOST does not name another.
	metadataURL = "http://169.254.169.254/"
)

// token asks for a token of the default service account. If nobody has said
// that there should be one, the lack of a server or of an account is
// registry.ErrAnonymous.
func (m *metadataServer) token(ctx context.Context, wanted bool) (token, error) {
	host := os.Getenv("GCE_METADATA_HOST")
	wanted = wanted || host != ""
	if host == "" && !m.found(ctx) {
		if wanted {
			return token{}, errors.New("no credentials to impersonate with: set key_file or GOOGLE_APPLICATION_CREDENTIALS; there is no metadata server either")
		}
		return token{}, fmt.Errorf("no key is configured, and there is no metadata server of Google here: %w", registry.ErrAnonymous)
	}
	x := &exchange{base: m.transport, kind: "metadata"}
	client := metadata.NewClient(&http.Client{Transport: x})
	body, err := client.GetWithContext(ctx, "instance/service-accounts/default/token?scopes="+url.QueryEscape(scope))
	if _, none := errors.AsType[metadata.NotDefinedError](err); none && !wanted {
		m.tellNoAccount()
		return token{}, fmt.Errorf("no key is configured, and the metadata server knows no service account: %w", registry.ErrAnonymous)
	}
	if err != nil {
		return token{}, fmt.Errorf("metadata server: %w", x.explain(ctx, err))
	}
	t, err := parseToken(body)
	if err != nil {
		return token{}, fmt.Errorf("metadata server: %w", err)
	}
	t.source = "metadata server"
	return t, nil
}

// found reports whether the server is there.
func (m *metadataServer) found(ctx context.Context) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.present || !m.absent.IsZero() && time.Since(m.absent) < absence {
		return m.present
	}
	probe, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(probe, http.MethodGet, metadataURL, nil)
	if err != nil {
		panic(err) // the URL is a constant
	}
	req.Header.Set("Metadata-Flavor", "Google")
	resp, err := m.transport.RoundTrip(req)
	if err == nil {
		// Other clouds have a server of their own at this address.
		m.present = resp.Header.Get("Metadata-Flavor") == "Google"
		_ = resp.Body.Close() // nothing is read from it
	}
	if !m.present && ctx.Err() == nil {
		m.absent = time.Now()
		m.log.Debug("no metadata server", "address", metadataURL, "error", err)
	}
	return m.present
}

func (m *metadataServer) tellNoAccount() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.told {
		m.told = true
		m.log.Info("the machine has no service account: images of Google's registries are read without credentials")
	}
}

func parseToken(body string) (token, error) {
	var answer struct {
		Token   string `json:"access_token"`
		Seconds int64  `json:"expires_in"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return token{}, errors.New("the answer is not the JSON of a token")
	}
	if answer.Token == "" || answer.Seconds <= 0 || answer.Seconds > int64(maxLife/time.Second) {
		return token{}, errors.New("the answer holds no token, or no life of it")
	}
	return token{value: answer.Token, expires: time.Now().Add(time.Duration(answer.Seconds) * time.Second)}, nil
}

// maxLife is far beyond what Google's tokens live: 12 hours.
const maxLife = 7 * 24 * time.Hour
