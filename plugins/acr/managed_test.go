package main

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

func env() sdk.Env { return sdk.Env{Log: hclog.NewNullLogger()} }

// Where the address of the metadata service leads nowhere this is found out in
// a second, remembered for a while, and found out again.
func TestMetadataServiceMissing(t *testing.T) {
	for _, name := range []string{"AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_FEDERATED_TOKEN_FILE",
		"IDENTITY_ENDPOINT", "MSI_ENDPOINT", "IMDS_ENDPOINT"} {
		t.Setenv(name, "")
	}
	synctest.Test(t, func(t *testing.T) {
		probes := 0
		p := &plugin{wrap: func(http.RoundTripper) http.RoundTripper {
			return roundTripper(func(r *http.Request) (*http.Response, error) {
				probes++
				<-r.Context().Done()
				return nil, r.Context().Err()
			})
		}}
		r, _ := open(t, p, values{})
		start := time.Now()
		for range 10 {
			if _, err := r.Credential(t.Context(), image); !errors.Is(err, registry.ErrAnonymous) || !strings.Contains(err.Error(), "no metadata server of Azure") {
				t.Fatalf("error %v, want ErrAnonymous and why", err)
			}
		}
		if took := time.Since(start); probes != 1 || took > probeTimeout {
			t.Errorf("%d probes in %s", probes, took)
		}
		time.Sleep(absence) // of the bubble's clock
		if _, err := r.Credential(t.Context(), image); !errors.Is(err, registry.ErrAnonymous) || probes != 2 {
			t.Errorf("later: %d probes, error %v", probes, err)
		}
	})
}

// Other clouds have a service at the same address.
func TestMetadataServiceOfAnotherCloud(t *testing.T) {
	for status, want := range map[int]bool{
		http.StatusOK: false, http.StatusUnauthorized: false, http.StatusForbidden: false, http.StatusNotFound: false,
		http.StatusBadRequest: true, http.StatusTooManyRequests: true, http.StatusServiceUnavailable: true,
	} {
		s := &imds{log: hclog.NewNullLogger(), transport: roundTripper(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Body: http.NoBody}, nil
		})}
		if got := s.found(t.Context()); got != want {
			t.Errorf("%d: found %t", status, got)
		}
	}
}

// A service that does not answer costs the timeout, no more.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &plugin{wrap: func(http.RoundTripper) http.RoundTripper {
			return roundTripper(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			})
		}}
		r, _ := open(t, p, values{"identity": "managed_identity", "timeout": "3s"})
		start := time.Now()
		_, err := r.Credential(t.Context(), image)
		if err == nil || !strings.Contains(err.Error(), "no answer from 169.254.169.254: context deadline exceeded") || time.Since(start) != 3*time.Second {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
	})
}
