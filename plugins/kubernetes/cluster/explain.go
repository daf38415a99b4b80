package cluster

import (
	"errors"
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
	return strings.TrimSpace(s.Message)
}

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
	return says(err, "connection refused", "failed to allocate", "etcdserver: ", "etcdclient: ", "server is shutting down")
}

// Malformed tells an object that does not fit its schema, which the API server
// answers with an internal error.
func Malformed(err error) bool { return says(err, malformed) }

const malformed = "failed to create typed patch object"

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
