package main

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

// roundTripper answers instead of a network.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func response(status int, header http.Header, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))}
}

// Where the address of the metadata server leads nowhere this is found out in
// a second, remembered for a while, and found out again.
func TestMetadataServerMissing(t *testing.T) {
	t.Setenv("GCE_METADATA_HOST", "")
	synctest.Test(t, func(t *testing.T) {
		probes := 0
		m := &metadataServer{log: hclog.NewNullLogger(), transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			probes++
			<-r.Context().Done()
			return nil, r.Context().Err()
		})}
		start := time.Now()
		for range 10 {
			if _, err := m.token(t.Context(), false); !errors.Is(err, registry.ErrAnonymous) || !strings.Contains(err.Error(), "no metadata server of Google") {
				t.Fatalf("error %v, want ErrAnonymous and why", err)
			}
		}
		if took := time.Since(start); probes != 1 || took > probeTimeout {
			t.Errorf("%d probes in %s", probes, took)
		}
		time.Sleep(absence) // of the bubble's clock
		if _, err := m.token(t.Context(), false); !errors.Is(err, registry.ErrAnonymous) || probes != 2 {
			t.Errorf("later: %d probes, error %v", probes, err)
		}
		if _, err := m.token(t.Context(), true); err == nil || errors.Is(err, registry.ErrAnonymous) {
			t.Errorf("with impersonate: error %v", err)
		}
	})
}

// Other clouds have a server at the same address.
func TestMetadataServerOfAnotherCloud(t *testing.T) {
	t.Setenv("GCE_METADATA_HOST", "")
	m := &metadataServer{log: hclog.NewNullLogger(), transport: roundTripper(func(*http.Request) (*http.Response, error) {
		return response(http.StatusOK, http.Header{}, "latest"), nil
	})}
	if _, err := m.token(t.Context(), false); !errors.Is(err, registry.ErrAnonymous) {
		t.Errorf("error %v, want ErrAnonymous", err)
	}
}

func TestParseToken(t *testing.T) {
	for body, want := range map[string]string{
		`{"access_token":"t","expires_in":3600,"token_type":"Bearer"}`: "",
		`{"access_token":"t","expires_in":0}`:                          "holds no token",
		`{"access_token":"","expires_in":10}`:                          "holds no token",
		`{"access_token":"t","expires_in":9223372036854775807}`:        "holds no token",
		`{"access_token":"t","expires_in":"soon"}`:                     "is not the JSON",
		`<html>`: "is not the JSON",
		``:       "is not the JSON",
	} {
		_, err := parseToken(body)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", body, err, want)
		}
	}
}
