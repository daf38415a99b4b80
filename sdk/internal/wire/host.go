package wire

import (
	"github.com/sluice-gitops/sluice/sdk/host"
	"github.com/sluice-gitops/sluice/sdk/internal/pb"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Secrets travel as bytes, since a value need not be valid UTF-8.

func secretToProto(s secret.Secret) []byte { return []byte(s.Reveal()) }

func secretFromProto(b []byte) secret.Secret { return secret.New(string(b)) }

// SecretToProto opens a secret for the wire.
func SecretToProto(s secret.Secret) []byte { return secretToProto(s) }

// SecretFromProto is the inverse of SecretToProto.
func SecretFromProto(b []byte) secret.Secret { return secretFromProto(b) }

// HostCredentialToProto converts a credential that the host gives to a plugin.
func HostCredentialToProto(c host.Credential) *pb.HostCredentialResponse {
	return &pb.HostCredentialResponse{
		Username:      text(c.Username),
		Password:      secretToProto(c.Password),
		IdentityToken: secretToProto(c.IdentityToken),
		ExpiresAt:     timeToProto(c.ExpiresAt),
	}
}

// HostCredentialFromProto is the inverse of HostCredentialToProto.
func HostCredentialFromProto(p *pb.HostCredentialResponse) host.Credential {
	return host.Credential{
		Username:      p.GetUsername(),
		Password:      secretFromProto(p.GetPassword()),
		IdentityToken: secretFromProto(p.GetIdentityToken()),
		ExpiresAt:     timeFromProto(p.GetExpiresAt()),
	}
}

// HostReadToProto converts the name of a secret to a request, without the
// instance.
func HostReadToProto(r host.SecretRef) *pb.HostReadSecretRequest {
	return &pb.HostReadSecretRequest{
		Applier:   text(r.Applier),
		Namespace: text(r.Namespace),
		Name:      text(r.Name),
		Key:       text(r.Key),
	}
}

// HostReadFromProto is the inverse of HostReadToProto.
func HostReadFromProto(p *pb.HostReadSecretRequest) host.SecretRef {
	return host.SecretRef{
		Applier:   p.GetApplier(),
		Namespace: p.GetNamespace(),
		Name:      p.GetName(),
		Key:       p.GetKey(),
	}
}

// HostWriteToProto converts a secret with its name, without the instance.
func HostWriteToProto(r host.SecretRef, value secret.Secret) *pb.HostWriteSecretRequest {
	return &pb.HostWriteSecretRequest{
		Applier:   text(r.Applier),
		Namespace: text(r.Namespace),
		Name:      text(r.Name),
		Key:       text(r.Key),
		Value:     secretToProto(value),
	}
}

// HostWriteFromProto is the inverse of HostWriteToProto.
func HostWriteFromProto(p *pb.HostWriteSecretRequest) (host.SecretRef, secret.Secret) {
	return host.SecretRef{
		Applier:   p.GetApplier(),
		Namespace: p.GetNamespace(),
		Name:      p.GetName(),
		Key:       p.GetKey(),
	}, secretFromProto(p.GetValue())
}

// HostEventToProto converts an event, without the instance.
func HostEventToProto(e host.Event) *pb.HostEventRequest {
	return &pb.HostEventRequest{
		Reason:  text(e.Reason),
		Message: text(e.Message),
		Warning: e.Warning,
		Labels:  textMap(e.Labels),
	}
}

// HostEventFromProto is the inverse of HostEventToProto.
func HostEventFromProto(p *pb.HostEventRequest) host.Event {
	return host.Event{
		Reason:  p.GetReason(),
		Message: p.GetMessage(),
		Warning: p.GetWarning(),
		Labels:  p.GetLabels(),
	}
}
