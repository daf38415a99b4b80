package wire

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/host"
	"github.com/sluice-gitops/sluice/sdk/internal/pb"
	"github.com/sluice-gitops/sluice/sdk/internal/plug"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// Domain marks the ErrorInfo details of this protocol. Every error that a
// plugin or host itself reports carries one.
const Domain = "sluice.dev"

// maxMessage bounds the text of an error.
const maxMessage = 64 << 10

var (
	// ErrUnsupported says that the instance lacks the capability.
	ErrUnsupported = errors.New("the plugin does not support it")
	// ErrUnknownInstance says that no such instance is open.
	ErrUnknownInstance = errors.New("no such instance is open in the plugin")
	// ErrPanic says that the plugin's code panicked during the call.
	ErrPanic = errors.New("the plugin panicked")
)

// Reasons of ErrorInfo details that stand for no sentinel.
const (
	reasonError     = "ERROR"
	reasonPermanent = "PERMANENT"
	reasonRetry     = "RETRY"
	reasonInvalid   = "INVALID"
	reasonConflict  = "SOURCE_CONFLICT"
)

// sentinels are the errors that keep their identity across the wire. The first
// that matches gives the code.
var sentinels = []struct {
	err    error
	reason string
	code   codes.Code
}{
	{source.ErrGone, "SOURCE_GONE", codes.NotFound},
	{helm.ErrLocked, "RELEASE_LOCKED", codes.FailedPrecondition},
	{helm.ErrOwned, "RELEASE_OWNED", codes.FailedPrecondition},
	{helm.ErrNotFound, "RELEASE_NOT_FOUND", codes.NotFound},
	{host.ErrAnonymous, "ANONYMOUS", codes.NotFound},
	{host.ErrNoSecret, "NO_SECRET", codes.NotFound},
	{applier.ErrNoResource, "NO_RESOURCE", codes.NotFound},
	{applier.ErrNoConfig, "NO_CONFIG", codes.NotFound},
	{host.ErrDenied, "DENIED", codes.PermissionDenied},
	{host.ErrUnavailable, "NO_HOST_SERVICES", codes.FailedPrecondition},
	{ErrUnsupported, "UNSUPPORTED", codes.Unimplemented},
	{ErrUnknownInstance, "UNKNOWN_INSTANCE", codes.NotFound},
	{ErrPanic, "PANIC", codes.Internal},
	{context.Canceled, "CANCELED", codes.Canceled},
	{context.DeadlineExceeded, "DEADLINE", codes.DeadlineExceeded},
}

// ErrorToStatus turns what an author's or host's code returned into a gRPC
// status: the code tells the caller when to try again, details keep what
// errors.Is and errors.As find.
func ErrorToStatus(err error) error {
	if err == nil {
		return nil
	}
	code, details := classify(err)
	message := text(err.Error())
	if len(message) > maxMessage {
		message = text(message[:maxMessage]) + " ..."
	}
	st, detailErr := status.New(code, message).WithDetails(details...)
	if detailErr != nil { // only if a detail cannot be marshalled
		return status.Error(code, message)
	}
	return st.Err()
}

// classify finds the code and details of err. Later matches override the code
// of earlier ones: what the author said explicitly comes last.
func classify(err error) (codes.Code, []protoadapt.MessageV1) {
	code := codes.Unknown
	var details []protoadapt.MessageV1
	info := func(c codes.Code, reason string) {
		code = c
		details = append(details, &errdetails.ErrorInfo{Domain: Domain, Reason: reason})
	}
	for i := len(sentinels) - 1; i >= 0; i-- {
		if s := sentinels[i]; errors.Is(err, s.err) {
			info(s.code, s.reason)
		}
	}
	if c, ok := errors.AsType[*source.ConflictError](err); ok {
		info(codes.Aborted, reasonConflict)
		details = append(details, &pb.Conflict{Paths: texts(c.Paths), Written: RevisionToProto(c.Written)})
	}
	if l, ok := diag.From(err); ok && l.HasErrors() {
		info(codes.InvalidArgument, reasonInvalid)
		details = append(details, &pb.Diagnostics{Diagnostics: DiagnosticsToProto(l)})
	}
	if d, ok := plug.RetryDelay(err); ok {
		info(codes.Unavailable, reasonRetry)
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(d)})
	}
	if plug.IsPermanent(err) {
		info(codes.FailedPrecondition, reasonPermanent)
	}
	if len(details) == 0 {
		info(codes.Unknown, reasonError)
	}
	return code, details
}

// ErrorFromStatus is the inverse of ErrorToStatus: the error prints the
// author's message, and errors.Is and errors.As find what the author's error
// held. An error that does not come from the other side's code, because the
// connection failed or gRPC refused the message, matches ErrTransport.
func ErrorFromStatus(err error) error {
	st, ok := status.FromError(err)
	if err == nil || !ok {
		return err
	}
	r := &remoteError{status: st}
	for _, detail := range st.Details() {
		r.restore(detail)
	}
	if !r.reported {
		return transportError(st)
	}
	return r
}

// remoteError is an error of the other side's code.
type remoteError struct {
	status   *status.Status
	reported bool // by code, not by gRPC
	wraps    []error
}

func (e *remoteError) Error() string              { return e.status.Message() }
func (e *remoteError) Unwrap() []error            { return e.wraps }
func (e *remoteError) GRPCStatus() *status.Status { return e.status }

// restore takes one detail of the status. Details it does not know, or cannot
// read, are from a newer version and change nothing.
func (e *remoteError) restore(detail any) {
	switch d := detail.(type) {
	case *errdetails.ErrorInfo:
		if d.GetDomain() == Domain {
			e.reported = true
			e.restoreReason(d.GetReason())
		}
	case *errdetails.RetryInfo:
		delay := max(d.GetRetryDelay().AsDuration(), 0)
		e.wraps = append(e.wraps, plug.RetryAfter(errors.New(e.status.Message()), delay))
	case *pb.Diagnostics:
		if l, err := DiagnosticsFromProto(d.GetDiagnostics()); err == nil && l.HasErrors() {
			e.wraps = append(e.wraps, l.Err())
		}
	case *pb.Conflict:
		e.wraps = append(e.wraps, &source.ConflictError{Paths: d.GetPaths(), Written: RevisionFromProto(d.GetWritten())})
	}
}

func (e *remoteError) restoreReason(reason string) {
	if reason == reasonPermanent {
		e.wraps = append(e.wraps, plug.Permanent(errors.New(e.status.Message())))
	}
	for _, s := range sentinels {
		if s.reason == reason {
			e.wraps = append(e.wraps, s.err)
		}
	}
}

// ErrTransport says that a call failed on its way.
var ErrTransport = errors.New("the call did not get through")

// transportError explains a status that gRPC itself made.
func transportError(st *status.Status) error {
	e := &remoteError{status: st, wraps: []error{ErrTransport}}
	switch st.Code() {
	case codes.Canceled:
		e.wraps = []error{context.Canceled}
	case codes.DeadlineExceeded:
		e.wraps = []error{context.DeadlineExceeded}
	case codes.Unimplemented:
		e.wraps = []error{ErrUnsupported}
	case codes.ResourceExhausted:
		e.status = status.New(st.Code(), fmt.Sprintf("a message is too large for the plugin protocol: pass a path instead (%s)", st.Message()))
		e.wraps = []error{plug.Permanent(errors.New(st.Message()))}
	}
	return e
}
