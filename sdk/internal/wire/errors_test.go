package wire

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/host"
	"github.com/sluice-gitops/sluice/sdk/internal/plug"
	"github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// send takes an error through a status and back.
func send(err error) error { return ErrorFromStatus(ErrorToStatus(err)) }

func TestErrorsKeepTheirIdentity(t *testing.T) {
	for _, s := range sentinels {
		got := send(fmt.Errorf("while testing: %w", s.err))
		if !errors.Is(got, s.err) {
			t.Errorf("%v is lost: %v", s.err, got)
		}
		if got.Error() != "while testing: "+s.err.Error() {
			t.Errorf("message %q", got)
		}
		if errors.Is(got, ErrTransport) {
			t.Errorf("%v looks like a failed connection", s.err)
		}
		if code := status.Code(got); code != s.code {
			t.Errorf("%v has code %v, want %v", s.err, code, s.code)
		}
		if twice := send(fmt.Errorf("again: %w", got)); !errors.Is(twice, s.err) {
			t.Errorf("%v is lost on the second wire", s.err)
		}
	}
	if !errors.Is(send(registry.ErrAnonymous), host.ErrAnonymous) {
		t.Error("the two ErrAnonymous differ")
	}
}

func TestPlainError(t *testing.T) {
	got := send(errors.New("disk full"))
	if got.Error() != "disk full" || status.Code(got) != codes.Unknown || errors.Is(got, ErrTransport) || plug.IsPermanent(got) {
		t.Errorf("got %v (%v)", got, status.Code(got))
	}
	if send(nil) != nil {
		t.Error("nil is an error")
	}
}

func TestRetryHints(t *testing.T) {
	got := send(fmt.Errorf("push: %w", plug.RetryAfter(errors.New("busy"), 90*time.Second)))
	if d, ok := plug.RetryDelay(got); !ok || d != 90*time.Second || got.Error() != "push: busy" {
		t.Errorf("got %v, delay %v, %v", got, d, ok)
	}
	if status.Code(got) != codes.Unavailable {
		t.Errorf("code %v", status.Code(got))
	}
	got = send(plug.Permanent(fmt.Errorf("no such branch: %w", source.ErrGone)))
	if !plug.IsPermanent(got) || !errors.Is(got, source.ErrGone) || status.Code(got) != codes.FailedPrecondition {
		t.Errorf("got %v (%v)", got, status.Code(got))
	}
}

func TestDiagnosticsTravel(t *testing.T) {
	want := diag.List{
		diag.Errorf(diag.Attr("auth", 0, "token"), "too short"),
		diag.Warningf(nil, "old"),
		{Severity: diag.Error, Summary: "s", Detail: "d", Subject: &diag.Range{File: "f", Start: diag.Pos{Line: 3}}},
	}
	got := send(fmt.Errorf("open: %w", want.Err()))
	list, ok := diag.From(got)
	if !ok {
		t.Fatalf("no diagnostics in %v", got)
	}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if status.Code(got) != codes.InvalidArgument {
		t.Errorf("code %v", status.Code(got))
	}
	if list, _ := diag.From(send(diag.Errorf(nil, "single"))); len(list) != 1 {
		t.Errorf("a single diagnostic became %v", list)
	}
}

func TestConflictsTravel(t *testing.T) {
	got := send(&source.ConflictError{Paths: []string{"a", "b\xff"}, Written: source.Revision{ID: "7"}})
	c, ok := errors.AsType[*source.ConflictError](got)
	if !ok {
		t.Fatalf("got %v", got)
	}
	want := &source.ConflictError{Paths: []string{"a", "b\uFFFD"}, Written: source.Revision{ID: "7"}}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTransportErrors(t *testing.T) {
	tests := map[codes.Code]error{
		codes.Unavailable:      ErrTransport,
		codes.Internal:         ErrTransport,
		codes.Canceled:         context.Canceled,
		codes.DeadlineExceeded: context.DeadlineExceeded,
		codes.Unimplemented:    ErrUnsupported,
	}
	for code, want := range tests {
		if got := ErrorFromStatus(status.Error(code, "x")); !errors.Is(got, want) {
			t.Errorf("%v became %v, want %v", code, got, want)
		}
	}
	tooLarge := ErrorFromStatus(status.Error(codes.ResourceExhausted, "larger than max"))
	if !plug.IsPermanent(tooLarge) || !strings.Contains(tooLarge.Error(), "pass a path instead") {
		t.Errorf("too large: %v", tooLarge)
	}
}

func TestHugeAndInvalidMessages(t *testing.T) {
	got := send(errors.New(strings.Repeat("é", maxMessage) + "\xff"))
	if len(got.Error()) > maxMessage+8 || !strings.HasSuffix(got.Error(), " ...") {
		t.Errorf("message of %d bytes", len(got.Error()))
	}
}

// An author's error that wraps a status of some other gRPC service must not
// pass for one of this protocol.
func TestForeignStatusIsNotTaken(t *testing.T) {
	got := send(fmt.Errorf("cloud: %w", status.Error(codes.Unavailable, "backend down")))
	if errors.Is(got, ErrTransport) || status.Code(got) != codes.Unknown {
		t.Errorf("got %v (%v)", got, status.Code(got))
	}
}

func FuzzErrorText(f *testing.F) {
	f.Add("x", int64(5))
	f.Fuzz(func(t *testing.T, message string, seconds int64) {
		got := send(plug.RetryAfter(errors.New(message), time.Duration(seconds)))
		if _, ok := plug.RetryDelay(got); !ok {
			t.Errorf("the delay of %q is lost: %v", message, got)
		}
	})
}
