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
	base    http.RoundTripper
	kind    string // type of the credential file, "metadata" or "impersonation"
	account string // whose key, or who is impersonated; may be empty

	mu      sync.Mutex
	refused *refusal
	silent  *silence
}

// refusal is what is fit to print of an answer.
type refusal struct {
	host   string
	path   string
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

// maxAnswer is larger than any answer with a token.
const maxAnswer = 256 << 10

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
		host: req.URL.Host, path: req.URL.Path, status: resp.StatusCode,
		text: describe(body), after: retryAfter(resp.Header),
	}, nil)
	return resp, nil
}

// note remembers what came of the last request.
func (x *exchange) note(r *refusal, s *silence) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.refused, x.silent = r, s
}

// explain makes of the SDK's error one that says who refused, why, and what to
// do about it.
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
		return scrubbed(err)
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

// hint says what usually helps.
func (x *exchange) hint(r *refusal) string {
	denied := r.status >= 400 && r.status < 404
	switch {
	case strings.HasSuffix(r.path, ":generateAccessToken") && r.status == http.StatusNotFound:
		return "there is no such service account"
	case strings.HasSuffix(r.path, ":generateAccessToken") && denied:
		return "grant roles/iam.serviceAccountTokenCreator on the service account to who impersonates it, and enable the IAM Service Account Credentials API"
	case x.kind == "service_account" && denied:
		return fmt.Sprintf("the key of %s has been deleted or disabled, or this machine's clock is wrong: make a new key", cmp.Or(x.account, "the service account"))
	case x.kind == "external_account" && denied:
		return "check that the audience, the issuer and the attribute condition of the workload identity provider fit the subject token, and that the token has not expired"
	case strings.HasSuffix(x.kind, "authorized_user") && denied:
		return "log in again with gcloud auth application-default login"
	case x.kind == "metadata" && denied:
		return "check the service account of the machine, or the binding of the pod's one (roles/iam.workloadIdentityUser)"
	case x.kind == "metadata" && r.status == http.StatusNotFound:
		return "the machine has no service account: attach one, or set key_file"
	}
	return ""
}

// describe takes code and description out of the forms that Google's servers
// answer in: OAuth's, that of their APIs, and plain text.
func describe(body []byte) string {
	var oauth struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	if json.Unmarshal(body, &oauth) == nil && oauth.Code != "" {
		return printable(strings.TrimSuffix(oauth.Code+": "+oauth.Description, ": "))
	}
	var api struct {
		Error struct {
			Status  string `json:"status"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &api) == nil && api.Error.Message != "" {
		return printable(strings.TrimPrefix(api.Error.Status+": "+api.Error.Message, ": "))
	}
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) {
		return "" // a page for browsers
	}
	return printable(string(body))
}

// secretLike matches tokens, signed or opaque, and keys: words too long to be
// read by people.
var secretLike = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}(\.[A-Za-z0-9_-]*)*|ya29\.[A-Za-z0-9._-]+|[A-Za-z0-9_+=~-]{40,}`)

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

// scrubbed returns err, or one that says the same without secrets.
func scrubbed(err error) error {
	text := err.Error()
	if clean := secretLike.ReplaceAllString(text, "(redacted)"); clean != text {
		return errors.New(clean)
	}
	return err
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
