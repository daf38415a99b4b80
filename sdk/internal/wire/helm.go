package wire

import (
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/internal/pb"
)

// ChartRefToProto converts a chart as a user names it.
func ChartRefToProto(r helm.ChartRef) *pb.ChartRef {
	return &pb.ChartRef{
		Repository: text(r.Repository),
		Name:       text(r.Name),
		Version:    text(r.Version),
		Path:       text(r.Path),
		Auth: &pb.ChartAuth{
			Username: text(r.Auth.Username),
			Password: secretToProto(r.Auth.Password),
			Ca:       text(r.Auth.CA),
			Cert:     text(r.Auth.Cert),
			Key:      secretToProto(r.Auth.Key),
		},
	}
}

// ChartRefFromProto is the inverse of ChartRefToProto.
func ChartRefFromProto(p *pb.ChartRef) helm.ChartRef {
	auth := p.GetAuth()
	return helm.ChartRef{
		Repository: p.GetRepository(),
		Name:       p.GetName(),
		Version:    p.GetVersion(),
		Path:       p.GetPath(),
		Auth: helm.Auth{
			Username: auth.GetUsername(),
			Password: secretFromProto(auth.GetPassword()),
			CA:       auth.GetCa(),
			Cert:     auth.GetCert(),
			Key:      secretFromProto(auth.GetKey()),
		},
	}
}

// ChartToProto converts a resolved chart.
func ChartToProto(c helm.Chart) *pb.Chart {
	return &pb.Chart{Ref: ChartRefToProto(c.Ref), Version: text(c.Version), Digest: text(c.Digest)}
}

// ChartFromProto is the inverse of ChartToProto.
func ChartFromProto(p *pb.Chart) helm.Chart {
	return helm.Chart{Ref: ChartRefFromProto(p.GetRef()), Version: p.GetVersion(), Digest: p.GetDigest()}
}

// ReleaseRefToProto converts the name of a release.
func ReleaseRefToProto(r helm.ReleaseRef) *pb.ReleaseRef {
	return &pb.ReleaseRef{Namespace: text(r.Namespace), Name: text(r.Name)}
}

// ReleaseRefFromProto is the inverse of ReleaseRefToProto.
func ReleaseRefFromProto(p *pb.ReleaseRef) helm.ReleaseRef {
	return helm.ReleaseRef{Namespace: p.GetNamespace(), Name: p.GetName()}
}

// ReleaseToProto converts the desired state of a release.
func ReleaseToProto(r helm.Release) *pb.Release {
	return &pb.Release{
		Ref:          ReleaseRefToProto(r.Ref),
		Chart:        text(r.Chart),
		ValuesJson:   secretToProto(r.Values),
		Timeout:      durationToProto(r.Timeout),
		Wait:         r.Wait,
		Atomic:       r.Atomic,
		SkipCrds:     r.SkipCRDs,
		MaxHistory:   int64(r.MaxHistory),
		Force:        r.Force,
		DisableHooks: r.DisableHooks,
		Owner:        text(r.Owner),
	}
}

// ReleaseFromProto is the inverse of ReleaseToProto.
func ReleaseFromProto(p *pb.Release) helm.Release {
	return helm.Release{
		Ref:          ReleaseRefFromProto(p.GetRef()),
		Chart:        p.GetChart(),
		Values:       secretFromProto(p.GetValuesJson()),
		Timeout:      durationFromProto(p.GetTimeout()),
		Wait:         p.GetWait(),
		Atomic:       p.GetAtomic(),
		SkipCRDs:     p.GetSkipCrds(),
		MaxHistory:   int(p.GetMaxHistory()),
		Force:        p.GetForce(),
		DisableHooks: p.GetDisableHooks(),
		Owner:        p.GetOwner(),
	}
}

// RenderedToProto converts a rendered release.
func RenderedToProto(r helm.Rendered) *pb.Rendered {
	return &pb.Rendered{Notes: text(r.Notes), Digest: text(r.Digest)}
}

// RenderedFromProto is the inverse of RenderedToProto.
func RenderedFromProto(p *pb.Rendered) helm.Rendered {
	return helm.Rendered{Notes: p.GetNotes(), Digest: p.GetDigest()}
}

// ReleaseChangeToProto converts one difference of an upgrade.
func ReleaseChangeToProto(c helm.Change) *pb.ReleaseChange {
	return &pb.ReleaseChange{
		Kind:      text(c.Kind),
		Namespace: text(c.Namespace),
		Name:      text(c.Name),
		Action:    text(c.Action),
		Diff:      text(c.Diff),
	}
}

// ReleaseChangeFromProto is the inverse of ReleaseChangeToProto.
func ReleaseChangeFromProto(p *pb.ReleaseChange) helm.Change {
	return helm.Change{
		Kind:      p.GetKind(),
		Namespace: p.GetNamespace(),
		Name:      p.GetName(),
		Action:    p.GetAction(),
		Diff:      p.GetDiff(),
	}
}

// ReleaseEventToProto converts progress of a long operation.
func ReleaseEventToProto(e helm.Event) *pb.ReleaseEvent {
	return &pb.ReleaseEvent{
		Time:    timeToProto(e.Time),
		Message: text(e.Message),
		Object:  text(e.Object),
		Failed:  e.Failed,
	}
}

// ReleaseEventFromProto is the inverse of ReleaseEventToProto.
func ReleaseEventFromProto(p *pb.ReleaseEvent) helm.Event {
	return helm.Event{
		Time:    timeFromProto(p.GetTime()),
		Message: p.GetMessage(),
		Object:  p.GetObject(),
		Failed:  p.GetFailed(),
	}
}

// ReleaseRevisionToProto converts one entry of a release's history; the zero
// Revision is nil.
func ReleaseRevisionToProto(r helm.Revision) *pb.ReleaseRevision {
	if r == (helm.Revision{}) {
		return nil
	}
	return &pb.ReleaseRevision{
		Number:     int64(r.Number),
		Status:     text(r.Status),
		Chart:      text(r.Chart),
		AppVersion: text(r.AppVersion),
		Updated:    timeToProto(r.Updated),
		Message:    text(r.Message),
	}
}

// ReleaseRevisionFromProto is the inverse of ReleaseRevisionToProto.
func ReleaseRevisionFromProto(p *pb.ReleaseRevision) helm.Revision {
	return helm.Revision{
		Number:     int(p.GetNumber()),
		Status:     p.GetStatus(),
		Chart:      p.GetChart(),
		AppVersion: p.GetAppVersion(),
		Updated:    timeFromProto(p.GetUpdated()),
		Message:    p.GetMessage(),
	}
}
