package wire

import (
	"github.com/sluice-gitops/sluice/sdk/internal/pb"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

var scopes = newEnum("scope", map[registry.Scope]pb.Scope{
	registry.ScopeRepository: pb.Scope_SCOPE_REPOSITORY,
	registry.ScopeRegistry:   pb.Scope_SCOPE_REGISTRY,
	registry.ScopeGlobal:     pb.Scope_SCOPE_GLOBAL,
})

// RequestToProto converts a request for a credential, without the instance.
func RequestToProto(r registry.Request) *pb.CredentialRequest {
	return &pb.CredentialRequest{
		Host:       text(r.Host),
		Repository: text(r.Repository),
		Consumer:   consumerToProto(r.Consumer),
	}
}

// TagsToProto converts a request for tags, without the instance.
func TagsToProto(r registry.Request) *pb.TagsRequest {
	return &pb.TagsRequest{
		Host:       text(r.Host),
		Repository: text(r.Repository),
		Consumer:   consumerToProto(r.Consumer),
	}
}

func consumerToProto(c registry.Consumer) *pb.Consumer {
	return &pb.Consumer{
		Namespace:      text(c.Namespace),
		ServiceAccount: text(c.ServiceAccount),
		PullSecrets:    texts(c.PullSecrets),
	}
}

// imageRequest is a *pb.CredentialRequest or a *pb.TagsRequest.
type imageRequest interface {
	GetHost() string
	GetRepository() string
	GetConsumer() *pb.Consumer
}

// RequestFromProto is the inverse of RequestToProto and of TagsToProto.
func RequestFromProto[P imageRequest](p P) registry.Request {
	return registry.Request{
		Host:       p.GetHost(),
		Repository: p.GetRepository(),
		Consumer: registry.Consumer{
			Namespace:      p.GetConsumer().GetNamespace(),
			ServiceAccount: p.GetConsumer().GetServiceAccount(),
			PullSecrets:    p.GetConsumer().GetPullSecrets(),
		},
	}
}

// CredentialToProto converts a credential. A scope that the author left out is
// the narrowest one.
func CredentialToProto(c registry.Credential) (*pb.CredentialResponse, error) {
	if c.Scope == "" {
		c.Scope = registry.ScopeRepository
	}
	scope, err := scopes.encode(c.Scope)
	return &pb.CredentialResponse{
		Username:      text(c.Username),
		Password:      secretToProto(c.Password),
		IdentityToken: secretToProto(c.IdentityToken),
		Scope:         scope,
		ExpiresAt:     timeToProto(c.ExpiresAt),
	}, err
}

// CredentialFromProto is the inverse of CredentialToProto.
func CredentialFromProto(p *pb.CredentialResponse) (registry.Credential, error) {
	scope, err := scopes.decode(p.GetScope())
	if err != nil {
		return registry.Credential{}, err
	}
	return registry.Credential{
		Username:      p.GetUsername(),
		Password:      secretFromProto(p.GetPassword()),
		IdentityToken: secretFromProto(p.GetIdentityToken()),
		Scope:         scope,
		ExpiresAt:     timeFromProto(p.GetExpiresAt()),
	}, nil
}

// TagToProto converts a tag.
func TagToProto(t registry.Tag) *pb.Tag {
	return &pb.Tag{
		Name:    text(t.Name),
		Digest:  text(t.Digest),
		Pushed:  timeToProto(t.Pushed),
		Created: timeToProto(t.Created),
	}
}

// TagFromProto is the inverse of TagToProto.
func TagFromProto(p *pb.Tag) registry.Tag {
	return registry.Tag{
		Name:    p.GetName(),
		Digest:  p.GetDigest(),
		Pushed:  timeFromProto(p.GetPushed()),
		Created: timeFromProto(p.GetCreated()),
	}
}
