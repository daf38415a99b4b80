package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/sluice-gitops/sluice/sdk"
)

// exchange carries the requests for one token and remembers what came of the
// last. The SDK prints whole bodies of refusals into its errors; a server may
// well repeat in them what it was sent.
type exchange struct {
	base     http.RoundTripper
	identity identity
	registry string // host of the registry that is asked; empty: Azure is

	mu      sync.Mutex
	refused *refusal
	silent  *silence
}

// refusal is what is fit to print of an answer.
type refusal struct {
	host   string
	status int
	text   string // code and description, scrubbed
	after  time.Duration
}

// silence is a request without an answer.
type silence struct {
	host string
	err  error
}

func (s *silence) Error() string { return "no answer from " + s.host + ": " + s.err.Error() }
func (s *silence) Unwrap() error { return s.err }

// RoundTrip implements http.RoundTripper.
func (x *exchange) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := x.base.RoundTrip(req)
	if err != nil {
		x.note(nil, &silence{req.URL.Host, err})
		return nil, err
	}
	if resp.StatusCode < 400 {
		x.note(nil, nil)
		return resp, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	_ = resp.Body.Close() // as much as is wanted has been read
	if err != nil {
		x.note(nil, &silence{req.URL.Host, err})
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	x.note(&refusal{
		host: req.URL.Host, status: resp.StatusCode,
		text: x.identity.conceal(describe(body)), after: retryAfter(resp.Header),
	}, nil)
	return resp, nil
}

// note remembers what came of the last request.
func (x *exchange) note(r *refusal, s *silence) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.refused, x.silent = r, s
}

func (x *exchange) refusal() *refusal {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.refused
}

// status is that of the refusal; 0 without one.
func (x *exchange) status() int {
	if r := x.refusal(); r != nil {
		return r.status
	}
	return 0
}

// noIdentity reports whether the metadata service has said that the machine
// has no identity. That it has several, and wants to know which, is another 400.
func (x *exchange) noIdentity() bool {
	r := x.refusal()
	return r != nil && r.status == http.StatusBadRequest && strings.Contains(strings.ToLower(r.text), "identity not found")
}

// explain makes of err one that says who refused, why, and what to do about it.
func (x *exchange) explain(ctx context.Context, err error) error {
	x.mu.Lock()
	r, silent := x.refused, x.silent
	x.mu.Unlock()
	switch {
	case r != nil:
	case silent != nil:
		return silent
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		return x.identity.scrubbed(err)
	}
	said := fmt.Sprintf("%s answered %d %s", r.host, r.status, http.StatusText(r.status))
	if r.text != "" {
		said += ": " + r.text
	}
	if r.status == http.StatusTooManyRequests || r.status == http.StatusServiceUnavailable {
		return sdk.RetryAfter(errors.New(said), cmp.Or(r.after, 30*time.Second))
	}
	if hint := x.hint(r); hint != "" {
		said += ": " + hint
	}
	return errors.New(said)
}

// advice is what usually helps with the codes of Microsoft Entra ID.
var advice = []struct{ code, text string }{
	{"AADSTS7000215", "client_secret is wrong; it is the value of the secret, not its ID"},
	{"AADSTS7000222", "the client secret has expired: make a new one"},
	{"AADSTS700016", "there is no such application in the tenant: check client_id and tenant_id"},
	{"AADSTS90002", "there is no such tenant: check tenant_id and the cloud (authority_host)"},
	{"AADSTS700024", "the token has expired: check that the token file is renewed, and the clock"},
	{"AADSTS70021", "no federated credential of the application fits the token: compare issuer, subject and audience (api://AzureADTokenExchange)"},
	{"AADSTS700027", "the certificate is not one of the application's"},
	{"AADSTS500011", "the tenant does not know the audience: check audience and the cloud"},
}

func (x *exchange) hint(r *refusal) string {
	for _, a := range advice {
		if strings.Contains(r.text, a.code) {
			return a.text
		}
	}
	denied := r.status == http.StatusUnauthorized || r.status == http.StatusForbidden
	switch {
	case x.registry != "" && denied:
		return fmt.Sprintf("grant the role AcrPull on the registry to the %s, of the registry's own tenant", x.identity)
	case x.registry == "" && x.identity.kind == managedIdentity && r.status == http.StatusBadRequest:
		return "assign the identity to the machine, or set client_id to one that is assigned"
	}
	return ""
}

// describe takes code and description out of the forms that Azure's servers
// answer in: OAuth's, the registries', and plain text.
func describe(body []byte) string {
	var oauth struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body, &oauth) == nil && oauth.Code != "" {
		// What follows is for Microsoft's support, and different each time.
		description, _, _ := strings.Cut(oauth.Description, " Trace ID:")
		return printable(strings.TrimSuffix(oauth.Code+": "+description, ": "))
	}
	var registry struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &registry) == nil && len(registry.Errors) > 0 {
		first := registry.Errors[0]
		return printable(strings.Trim(first.Code+": "+first.Message, ": "))
	}
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) {
		return "" // a page for browsers
	}
	return printable(string(body))
}

// secretLike matches tokens, signed or opaque, and keys: words too long to be
// read by people. GUIDs are not among them.
var secretLike = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*)*|[A-Za-z0-9_+=~-]{40,}`)

// printable makes one short line of s, without anything like a secret.
func printable(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "?"), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}), " ")
	s = secretLike.ReplaceAllString(s, "(redacted)")
	const limit = 300
	if r := []rune(s); len(r) > limit {
		s = string(r[:limit]) + "..."
	}
	return s
}

// scrubbed returns err, or one that says the same without secrets. The SDK
// writes several lines; the first ones tell.
func (id identity) scrubbed(err error) error {
	text := err.Error()
	if clean := id.conceal(printable(text)); clean != text {
		return errors.New(clean)
	}
	return err
}

// conceal takes the identity's own secrets out of s.
func (id identity) conceal(s string) string {
	for _, secret := range []string{id.secret, id.certificatePass} {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, "(redacted)")
		}
	}
	return s
}

// retryAfter reads the header in both forms that it has.
func retryAfter(h http.Header) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}
