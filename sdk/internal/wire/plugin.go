package wire

import (
	"fmt"

	"github.com/sluice-gitops/sluice/sdk/internal/pb"
	"github.com/sluice-gitops/sluice/sdk/internal/plug"
)

// DescriptionToProto converts what a plugin says about itself.
func DescriptionToProto(d plug.Description) (*pb.DescribeResponse, error) {
	kinds, err := tryEach(d.Kinds, offerToProto)
	if err != nil {
		return nil, err
	}
	return &pb.DescribeResponse{
		Name:     text(d.Name),
		Version:  text(d.Version),
		Sdk:      text(d.SDK),
		Protocol: int32(d.Protocol),
		Kinds:    kinds,
	}, nil
}

// DescriptionFromProto is the inverse of DescriptionToProto.
func DescriptionFromProto(p *pb.DescribeResponse) (plug.Description, error) {
	kinds, err := tryEach(p.GetKinds(), offerFromProto)
	if err != nil {
		return plug.Description{}, err
	}
	return plug.Description{
		Name:     p.GetName(),
		Version:  p.GetVersion(),
		SDK:      p.GetSdk(),
		Protocol: int(p.GetProtocol()),
		Kinds:    kinds,
	}, nil
}

func offerToProto(k plug.KindDescription) (*pb.Offer, error) {
	s, err := SchemaToProto(k.Schema)
	if err != nil {
		return nil, fmt.Errorf("schema of %s/%s: %w", k.Kind, k.Type, err)
	}
	return &pb.Offer{
		Kind:         text(k.Kind),
		Type:         text(k.Type),
		Doc:          text(k.Doc),
		Schema:       s,
		Capabilities: texts(k.Capabilities),
	}, nil
}

func offerFromProto(p *pb.Offer) (plug.KindDescription, error) {
	s, err := SchemaFromProto(p.GetSchema())
	if err != nil {
		return plug.KindDescription{}, fmt.Errorf("schema of %s/%s: %w", p.GetKind(), p.GetType(), err)
	}
	return plug.KindDescription{
		Kind:         p.GetKind(),
		Type:         p.GetType(),
		Doc:          p.GetDoc(),
		Schema:       s,
		Capabilities: p.GetCapabilities(),
	}, nil
}
