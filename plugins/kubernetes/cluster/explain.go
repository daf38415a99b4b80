package cluster

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Explain returns the server's words about an object, short enough to read.
// For a Secret the words are left out, since the server quotes values in them;
// the reason and the fields stay.
func Explain(err error, secret bool) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return err.Error()
	}
	s := status.Status()
	if secret {
		return withheld(s)
	}
	return misfit(strings.TrimSpace(s.Message))
}

// misfit makes the server's words about an object that does not fit its schema
// readable. They are "failed to create typed patch object (NAME; KIND):
// .spec.replicaz: field not declared in schema", or, in place of the end,
// "expected string, got &value.valueUnstructured{Value:1}".
func misfit(message string) string {
	if !strings.HasPrefix(message, untyped) {
		return message
	}
	_, what, found := strings.Cut(message, "): ")
	if !found {
		return message
	}
	what = strings.TrimPrefix(what, ".")
	if field, unknown := strings.CutSuffix(what, ": field not declared in schema"); unknown {
		return "unknown field " + field
	}
	return goValue.ReplaceAllString(what, "$1")
}

var goValue = regexp.MustCompile(`&value\.valueUnstructured\{Value:(.*)\}`)

// Advice says what a person can do about an error that the server returned for
// an object of the namespace, or "".
func Advice(err error, namespace string) string {
	switch {
	case apierrors.HasStatusCause(err, namespaceTerminating):
		return fmt.Sprintf("Namespace %q is being deleted, and takes nothing new until it is gone. The next sync tries again.", namespace)
	case apierrors.IsNotFound(err) && namespace != "":
		return fmt.Sprintf("Does namespace %q exist? Declare it in the repository, or create it.", namespace)
	case says(err, webhookFails):
		return "The admission webhook that the API server names does not answer. Mend it, or remove its configuration. The next sync tries again."
	case tooLarge(err):
		return "The API server takes 3 MB in one request, and its store 1.5 MB in one object. Make the object smaller, or split it."
	case says(err, "exceeded quota"):
		return "Raise the ResourceQuota, or ask for less."
	case says(err, "denied the request", "denied request"):
		return "An admission webhook or policy forbids it; the message is its own."
	case apierrors.IsUnauthorized(err):
		return "The API server does not accept the credentials of the kubeconfig."
	case apierrors.IsForbidden(err):
		return "Either the identity that the applier uses may not do this (RBAC), or an admission rule forbids it."
	case Rejected(err):
		return "The API server rejects the manifest; correct it in the repository."
	case apierrors.IsTooManyRequests(err), apierrors.IsInternalError(err), apierrors.IsServiceUnavailable(err):
		return "The API server failed repeatedly; the next sync tries again."
	}
	return ""
}

// Rejected tells an error that is the manifest's mistake, and nothing that the
// cluster's state or rights have a part in.
func Rejected(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) && !says(err, "does not support dry run") || Malformed(err)
}

const (
	namespaceTerminating = metav1.CauseType("NamespaceTerminating")
	webhookFails         = "failed calling webhook"
)

func tooLarge(err error) bool {
	return apierrors.IsRequestEntityTooLargeError(err) || says(err, storeTooLarge...)
}

// storeTooLarge is what etcd and its client say of an object that they do not
// take, which the API server answers with an internal error.
var storeTooLarge = []string{"etcdserver: request is too large", "trying to send message larger than max"}

func withheld(s metav1.Status) string {
	text := string(s.Reason)
	if text == "" {
		text = "rejected"
	}
	if fields := causes(s, func(metav1.StatusCause) bool { return true }); len(fields) > 0 {
		text += " (" + strings.Join(fields, ", ") + ")"
	}
	return text + "; the API server's message is withheld because it may quote the secret"
}

// ImmutableFields returns the fields whose change the server rejects for good.
// It is empty for every other error: an invalid object is not an immutable one.
func ImmutableFields(err error) []string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || !apierrors.IsInvalid(err) {
		return nil
	}
	return causes(status.Status(), func(c metav1.StatusCause) bool { return immutable(c.Message) })
}

// Passing tells an error that the API server calls a rejection, but that comes
// from itself: while it starts or stops, what it needs (etcd, its own API for
// addresses) may be away.
func Passing(err error) bool {
	return !tooLarge(err) && !says(err, webhookFails) && says(err, "connection refused", "failed to allocate", "etcdserver: ", "etcdclient: ", "server is shutting down")
}

// Malformed tells an object that does not fit its schema, which the API server
// answers with an internal error.
func Malformed(err error) bool { return says(err, untyped, unconvertible) }

const (
	untyped       = "failed to create typed patch object"
	unconvertible = "failed to convert new object"
)

func says(err error, phrases ...string) bool {
	return err != nil && slices.ContainsFunc(phrases, func(p string) bool { return strings.Contains(err.Error(), p) })
}

// immutable knows the phrases of the API server's own validation, none of
// which are in a machine-readable form.
func immutable(message string) bool {
	for _, phrase := range []string{
		"field is immutable", "is immutable after creation", "may not change once set",
		"cannot change roleRef", "updates to statefulset spec for fields other than",
		"field cannot be changed", "may not be changed", "is immutable",
	} {
		if strings.Contains(message, phrase) {
			return true
		}
	}
	return false
}

func causes(s metav1.Status, match func(metav1.StatusCause) bool) []string {
	if s.Details == nil {
		return nil
	}
	var fields []string
	for _, c := range s.Details.Causes {
		if c.Field != "" && match(c) {
			fields = append(fields, c.Field)
		}
	}
	return fields
}
