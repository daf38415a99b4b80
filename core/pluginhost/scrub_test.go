//go:build unix

package pluginhost

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-gitops/sluice/sdk"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/schema"
	"github.com/sluice-gitops/sluice/sdk/source"
)

func TestScrub(t *testing.T) {
	key := "-----BEGIN KEY-----\nAAAAAAAAAAAAAAAAAAAA\nBBBBBBBBBBBBBBBBBBBB\n-----END KEY-----\n"
	quoted, err := json.Marshal(map[string]string{"k": "pa\"ss&word"})
	if err != nil {
		t.Fatal(err)
	}
	var s Scrubber
	if got := s.Scrub("nothing known"); got != "nothing known" {
		t.Errorf("empty scrubber: %q", got)
	}
	s.Add("sesame", "sesame-open", "short", key, `pa"ss&word`, "")
	for in, want := range map[string]string{
		"sesame-open sesame":            "(redacted) (redacted)",
		"short stays":                   "short stays",
		string(quoted):                  `{"k":"(redacted)"}`,
		"https://u:pa%22ss%26word@host": "https://u:(redacted)@host",
		"Basic " + base64.StdEncoding.EncodeToString([]byte("sesame")): "Basic (redacted)",
		"a line AAAAAAAAAAAAAAAAAAAA of a key":                         "a line (redacted) of a key",
		"-----BEGIN KEY-----":                                          "-----BEGIN KEY-----",
	} {
		if got := s.Scrub(in); got != want {
			t.Errorf("Scrub(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestScrubbedErrorsKeepTheirMeaning(t *testing.T) {
	var s Scrubber
	s.Add("sesame")
	if err := s.Err(source.ErrGone); err != source.ErrGone { //nolint:errorlint // identity is the point
		t.Errorf("an error without secrets is changed: %v", err)
	}
	err := s.Err(sdk.RetryAfter(fmt.Errorf("sesame: %w", source.ErrGone), time.Minute))
	if err.Error() != "(redacted): revision is gone" || !errors.Is(err, source.ErrGone) {
		t.Errorf("%v", err)
	}
	if d, ok := sdk.RetryDelay(err); !ok || d != time.Minute {
		t.Errorf("the delay is lost: %v", d)
	}
	conflict := s.Err(fmt.Errorf("sesame: %w", &source.ConflictError{Paths: []string{"a"}}))
	if c, ok := errors.AsType[*source.ConflictError](conflict); !ok || c.Paths[0] != "a" {
		t.Errorf("the conflict is lost: %v", conflict)
	}
	problems := diag.List{diag.Errorf(diag.Attr("token"), "sesame is wrong"), {Severity: diag.Warning, Summary: "w", Detail: "sesame"}}
	got, ok := diag.From(s.Err(fmt.Errorf("open: %w", problems.Err())))
	want := diag.List{diag.Errorf(diag.Attr("token"), "(redacted) is wrong"), {Severity: diag.Warning, Summary: "w", Detail: "(redacted)"}}
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Errorf("diagnostics (-want +got):\n%s", diff)
	}
	if problems[0].Summary != "sesame is wrong" {
		t.Error("Diags changed its argument")
	}
}

func TestScrubberForgetsTheOldest(t *testing.T) {
	var s Scrubber
	values := make([]string, 0, scrubMost+10)
	for n := range scrubMost + 10 {
		values = append(values, fmt.Sprintf("secret%06d", n))
	}
	s.Add(values...)
	if len(s.lasting.order) != scrubMost || len(s.lasting.known) != scrubMost {
		t.Errorf("%d forms, %d known", len(s.lasting.order), len(s.lasting.known))
	}
	newest := values[len(values)-1]
	if got := s.Scrub(newest); got != "(redacted)" {
		t.Errorf("the newest is %q", got)
	}
}

func TestScrubberIsSafeForConcurrentUse(t *testing.T) {
	var s Scrubber
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for k := range 50 {
				s.Add(fmt.Sprintf("secret-%d-%d", n, k))
				if got := s.Scrub(fmt.Sprintf("secret-%d-%d", n, k)); strings.Contains(got, "secret") {
					t.Errorf("%q passed right after it was added", got)
				}
			}
		})
	}
	wg.Wait()
}

func TestSensitiveValues(t *testing.T) {
	type auth struct {
		User  string     `hcl:"user,optional"`
		Token sdk.Secret `hcl:"token,optional"`
	}
	type config struct {
		URL     string                `hcl:"url,optional"`
		Key     sdk.Secret            `hcl:"key,optional"`
		Headers map[string]sdk.Secret `hcl:"headers,optional"`
		Auth    *auth                 `hcl:"auth,block"`
		Extra   []auth                `hcl:"extra,block"`
	}
	s, err := schema.Of[config]()
	if err != nil {
		t.Fatal(err)
	}
	got := sensitiveValues(s, json.RawMessage(`{"url":"u","key":"k1","headers":{"a":"k2"},"auth":{"user":"x","token":"k3"},"extra":[{"token":"k4"},{"token":"k5"}]}`))
	if diff := cmp.Diff([]string{"k1", "k2", "k3", "k4", "k5"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, broken := range []string{"", "null", "[]", `{"auth":5,"extra":{"a":1}}`, "{"} {
		if got := sensitiveValues(s, json.RawMessage(broken)); len(got) > 0 {
			t.Errorf("%s: %v", broken, got)
		}
	}
}
