package wire

import (
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/internal/pb"
)

// ResourceFilterToProto converts what Follow shows, without the instance.
func ResourceFilterToProto(f applier.ResourceFilter) *pb.FollowRequest {
	return &pb.FollowRequest{
		Kinds: each(f.Kinds, func(k applier.VersionedKind) *pb.VersionedKind {
			return &pb.VersionedKind{Group: text(k.Group), Version: text(k.Version), Kind: text(k.Kind)}
		}),
		Namespaces: texts(f.Namespaces),
	}
}

// ResourceFilterFromProto is the inverse of ResourceFilterToProto.
func ResourceFilterFromProto(p *pb.FollowRequest) applier.ResourceFilter {
	return applier.ResourceFilter{
		Kinds: each(p.GetKinds(), func(k *pb.VersionedKind) applier.VersionedKind {
			return applier.VersionedKind{Group: k.GetGroup(), Version: k.GetVersion(), Kind: k.GetKind()}
		}),
		Namespaces: p.GetNamespaces(),
	}
}

// ResourceToProto converts an object that the host acts upon.
func ResourceToProto(r applier.Resource) *pb.Resource {
	return &pb.Resource{
		Ref:                RefToProto(r.Ref),
		Uid:                text(r.UID),
		Generation:         r.Generation,
		Object:             r.Object,
		Deleted:            r.Deleted,
		Deleting:           r.Deleting,
		DefinitionDeleting: r.DefinitionDeleting,
		NamespaceDeleting:  r.NamespaceDeleting,
		Problem:            text(r.Problem),
	}
}

// ResourceFromProto is the inverse of ResourceToProto.
func ResourceFromProto(p *pb.Resource) applier.Resource {
	return applier.Resource{
		Ref:                RefFromProto(p.GetRef()),
		UID:                p.GetUid(),
		Generation:         p.GetGeneration(),
		Object:             p.GetObject(),
		Deleted:            p.GetDeleted(),
		Deleting:           p.GetDeleting(),
		DefinitionDeleting: p.GetDefinitionDeleting(),
		NamespaceDeleting:  p.GetNamespaceDeleting(),
		Problem:            p.GetProblem(),
	}
}

// ResourcePatchToProto converts a change of an object, without the instance.
func ResourcePatchToProto(p applier.ResourcePatch) *pb.PatchResourceRequest {
	return &pb.PatchResourceRequest{
		Ref:             RefToProto(p.Ref),
		Uid:             text(p.UID),
		Status:          p.Status,
		AddFinalizer:    text(p.AddFinalizer),
		RemoveFinalizer: text(p.RemoveFinalizer),
	}
}

// ResourcePatchFromProto is the inverse of ResourcePatchToProto.
func ResourcePatchFromProto(p *pb.PatchResourceRequest) applier.ResourcePatch {
	return applier.ResourcePatch{
		Ref:             RefFromProto(p.GetRef()),
		UID:             p.GetUid(),
		Status:          p.GetStatus(),
		AddFinalizer:    p.GetAddFinalizer(),
		RemoveFinalizer: p.GetRemoveFinalizer(),
	}
}

// ResourceEventToProto converts what happened to an object, without the
// instance.
func ResourceEventToProto(e applier.ResourceEvent) *pb.TellResourceRequest {
	return &pb.TellResourceRequest{
		Ref:     RefToProto(e.Ref),
		Uid:     text(e.UID),
		Warning: e.Warning,
		Reason:  text(e.Reason),
		Message: text(e.Message),
	}
}

// ResourceEventFromProto is the inverse of ResourceEventToProto.
func ResourceEventFromProto(p *pb.TellResourceRequest) applier.ResourceEvent {
	return applier.ResourceEvent{
		Ref:     RefFromProto(p.GetRef()),
		UID:     p.GetUid(),
		Warning: p.GetWarning(),
		Reason:  p.GetReason(),
		Message: p.GetMessage(),
	}
}

// ConfigRefToProto converts the name of a value, without the instance.
func ConfigRefToProto(r applier.ConfigRef) *pb.ReadConfigRequest {
	return &pb.ReadConfigRequest{Namespace: text(r.Namespace), Name: text(r.Name), Key: text(r.Key)}
}

// ConfigRefFromProto is the inverse of ConfigRefToProto.
func ConfigRefFromProto(p *pb.ReadConfigRequest) applier.ConfigRef {
	return applier.ConfigRef{Namespace: p.GetNamespace(), Name: p.GetName(), Key: p.GetKey()}
}

// ConfigToProto converts the value of a configuration.
func ConfigToProto(value string) *pb.ReadConfigResponse {
	return &pb.ReadConfigResponse{Value: text(value)}
}

// InquiryToProto converts what a person calls an object, without the instance.
func InquiryToProto(q applier.Inquiry) *pb.InspectRequest {
	return &pb.InspectRequest{Kind: text(q.Kind), Group: text(q.Group), Namespace: text(q.Namespace), Name: text(q.Name), Annotations: texts(q.Annotations)}
}

// InquiryFromProto is the inverse of InquiryToProto.
func InquiryFromProto(p *pb.InspectRequest) applier.Inquiry {
	return applier.Inquiry{Kind: p.GetKind(), Group: p.GetGroup(), Namespace: p.GetNamespace(), Name: p.GetName(), Annotations: p.GetAnnotations()}
}

// InspectedToProto converts what an object says.
func InspectedToProto(i applier.Inspected) *pb.InspectResponse {
	return &pb.InspectResponse{Ref: RefToProto(i.Ref), Annotations: textMap(i.Annotations)}
}

// InspectedFromProto is the inverse of InspectedToProto.
func InspectedFromProto(p *pb.InspectResponse) applier.Inspected {
	return applier.Inspected{Ref: RefFromProto(p.GetRef()), Annotations: p.GetAnnotations()}
}
