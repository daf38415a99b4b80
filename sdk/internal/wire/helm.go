package wire

import (
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/internal/pb"
)

// ChartRefToProto converts a chart as a user names it.
func ChartRefToProto(r helm.ChartRef) *pb.ChartRef {
	p := &pb.ChartRef{
		Repository:       text(r.Repository),
		Name:             text(r.Name),
		Version:          text(r.Version),
		Path:             text(r.Path),
		Tree:             text(r.Tree),
		KeepDependencies: r.KeepDependencies,
		IgnoreLock:       r.IgnoreLock,
		Auth:             chartAuthToProto(r.Auth),
		Keyring:          text(r.Keyring),
	}
	for _, remote := range r.Remotes {
		p.Remotes = append(p.Remotes, &pb.ChartRemote{
			Prefix: text(remote.Prefix), Mirror: text(remote.Mirror), Auth: chartAuthToProto(remote.Auth),
		})
	}
	return p
}

// ChartRefFromProto is the inverse of ChartRefToProto.
func ChartRefFromProto(p *pb.ChartRef) helm.ChartRef {
	r := helm.ChartRef{
		Repository:       p.GetRepository(),
		Name:             p.GetName(),
		Version:          p.GetVersion(),
		Path:             p.GetPath(),
		Tree:             p.GetTree(),
		KeepDependencies: p.GetKeepDependencies(),
		IgnoreLock:       p.GetIgnoreLock(),
		Auth:             chartAuthFromProto(p.GetAuth()),
		Keyring:          p.GetKeyring(),
	}
	for _, remote := range p.GetRemotes() {
		r.Remotes = append(r.Remotes, helm.Remote{
			Prefix: remote.GetPrefix(), Mirror: remote.GetMirror(), Auth: chartAuthFromProto(remote.GetAuth()),
		})
	}
	return r
}

func chartAuthToProto(a helm.Auth) *pb.ChartAuth {
	return &pb.ChartAuth{
		Username: text(a.Username),
		Password: secretToProto(a.Password),
		Ca:       text(a.CA),
		Cert:     text(a.Cert),
		Key:      secretToProto(a.Key),
	}
}

func chartAuthFromProto(p *pb.ChartAuth) helm.Auth {
	return helm.Auth{
		Username: p.GetUsername(),
		Password: secretFromProto(p.GetPassword()),
		CA:       p.GetCa(),
		Cert:     p.GetCert(),
		Key:      secretFromProto(p.GetKey()),
	}
}

// ChartToProto converts a resolved chart.
func ChartToProto(c helm.Chart) *pb.Chart {
	p := &pb.Chart{Ref: ChartRefToProto(c.Ref), Version: text(c.Version), Digest: text(c.Digest)}
	for _, d := range c.Dependencies {
		p.Dependencies = append(p.Dependencies, &pb.ChartDependency{
			Repository: text(d.Repository), Name: text(d.Name), Version: text(d.Version), Digest: text(d.Digest),
		})
	}
	return p
}

// ChartFromProto is the inverse of ChartToProto.
func ChartFromProto(p *pb.Chart) helm.Chart {
	c := helm.Chart{Ref: ChartRefFromProto(p.GetRef()), Version: p.GetVersion(), Digest: p.GetDigest()}
	for _, d := range p.GetDependencies() {
		c.Dependencies = append(c.Dependencies, helm.Dependency{
			Repository: d.GetRepository(), Name: d.GetName(), Version: d.GetVersion(), Digest: d.GetDigest(),
		})
	}
	return c
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
		Ref:             ReleaseRefToProto(r.Ref),
		Chart:           text(r.Chart),
		ValuesJson:      secretToProto(r.Values),
		ReuseValues:     r.ReuseValues,
		Timeout:         durationToProto(r.Timeout),
		Wait:            text(string(r.Wait)),
		WaitForJobs:     r.WaitForJobs,
		DisableHooks:    r.DisableHooks,
		Atomic:          r.Atomic,
		MaxHistory:      int64(r.MaxHistory),
		Crds:            text(string(r.CRDs)),
		Force:           r.Force,
		TakeOwnership:   r.TakeOwnership,
		CreateNamespace: r.CreateNamespace,
		SkipSchema:      r.SkipSchema,
		SkipOpenapi:     r.SkipOpenAPI,
		Owner:           text(r.Owner),
		Digest:          text(r.Digest),
		Adopt:           r.Adopt,
	}
}

// ReleaseFromProto is the inverse of ReleaseToProto.
func ReleaseFromProto(p *pb.Release) helm.Release {
	return helm.Release{
		Ref:             ReleaseRefFromProto(p.GetRef()),
		Chart:           p.GetChart(),
		Values:          secretFromProto(p.GetValuesJson()),
		ReuseValues:     p.GetReuseValues(),
		Timeout:         durationFromProto(p.GetTimeout()),
		Wait:            helm.Wait(p.GetWait()),
		WaitForJobs:     p.GetWaitForJobs(),
		DisableHooks:    p.GetDisableHooks(),
		Atomic:          p.GetAtomic(),
		MaxHistory:      int(p.GetMaxHistory()),
		CRDs:            helm.CRDs(p.GetCrds()),
		Force:           p.GetForce(),
		TakeOwnership:   p.GetTakeOwnership(),
		CreateNamespace: p.GetCreateNamespace(),
		SkipSchema:      p.GetSkipSchema(),
		SkipOpenAPI:     p.GetSkipOpenapi(),
		Owner:           p.GetOwner(),
		Digest:          p.GetDigest(),
		Adopt:           p.GetAdopt(),
	}
}

// RenderedToProto converts a rendered release.
func RenderedToProto(r helm.Rendered) *pb.Rendered {
	return &pb.Rendered{Notes: text(r.Notes), Digest: text(r.Digest), Chart: text(r.Chart)}
}

// RenderedFromProto is the inverse of RenderedToProto.
func RenderedFromProto(p *pb.Rendered) helm.Rendered {
	return helm.Rendered{Notes: p.GetNotes(), Digest: p.GetDigest(), Chart: p.GetChart()}
}

// ReleaseChangeToProto converts one difference of an upgrade.
func ReleaseChangeToProto(c helm.Change) *pb.ReleaseChange {
	return &pb.ReleaseChange{
		Kind:      text(c.Kind),
		Namespace: text(c.Namespace),
		Name:      text(c.Name),
		Action:    text(c.Action),
		Diff:      text(c.Diff),
		Hook:      c.Hook,
		Problem:   text(c.Problem),
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
		Hook:      p.GetHook(),
		Problem:   p.GetProblem(),
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
		Tests:      text(r.Tests),
		Owner:      text(r.Owner),
		Digest:     text(r.Digest),
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
		Tests:      p.GetTests(),
		Owner:      p.GetOwner(),
		Digest:     p.GetDigest(),
	}
}

// RollbackToProto converts a return to an earlier revision; the caller adds
// the instance.
func RollbackToProto(r helm.Rollback) *pb.RollbackRequest {
	return &pb.RollbackRequest{
		Ref:          ReleaseRefToProto(r.Ref),
		To:           int64(r.To),
		Timeout:      durationToProto(r.Timeout),
		Wait:         text(string(r.Wait)),
		WaitForJobs:  r.WaitForJobs,
		DisableHooks: r.DisableHooks,
		Force:        r.Force,
		MaxHistory:   int64(r.MaxHistory),
	}
}

// RollbackFromProto is the inverse of RollbackToProto.
func RollbackFromProto(p *pb.RollbackRequest) helm.Rollback {
	return helm.Rollback{
		Ref:          ReleaseRefFromProto(p.GetRef()),
		To:           int(p.GetTo()),
		Timeout:      durationFromProto(p.GetTimeout()),
		Wait:         helm.Wait(p.GetWait()),
		WaitForJobs:  p.GetWaitForJobs(),
		DisableHooks: p.GetDisableHooks(),
		Force:        p.GetForce(),
		MaxHistory:   int(p.GetMaxHistory()),
	}
}

// UninstallToProto converts the end of a release; the caller adds the
// instance.
func UninstallToProto(u helm.Uninstall) *pb.UninstallRequest {
	return &pb.UninstallRequest{
		Ref:          ReleaseRefToProto(u.Ref),
		KeepHistory:  u.KeepHistory,
		Timeout:      durationToProto(u.Timeout),
		Wait:         u.Wait,
		DisableHooks: u.DisableHooks,
		Owner:        text(u.Owner),
	}
}

// UninstallFromProto is the inverse of UninstallToProto.
func UninstallFromProto(p *pb.UninstallRequest) helm.Uninstall {
	return helm.Uninstall{
		Ref:          ReleaseRefFromProto(p.GetRef()),
		KeepHistory:  p.GetKeepHistory(),
		Timeout:      durationFromProto(p.GetTimeout()),
		Wait:         p.GetWait(),
		DisableHooks: p.GetDisableHooks(),
		Owner:        p.GetOwner(),
	}
}

// TestToProto converts a run of tests; the caller adds the instance.
func TestToProto(t helm.Test) *pb.TestRequest {
	return &pb.TestRequest{
		Ref:     ReleaseRefToProto(t.Ref),
		Timeout: durationToProto(t.Timeout),
		Names:   texts(t.Names),
		Cleanup: t.Cleanup,
	}
}

// TestFromProto is the inverse of TestToProto.
func TestFromProto(p *pb.TestRequest) helm.Test {
	return helm.Test{
		Ref:     ReleaseRefFromProto(p.GetRef()),
		Timeout: durationFromProto(p.GetTimeout()),
		Names:   p.GetNames(),
		Cleanup: p.GetCleanup(),
	}
}

// ComparisonToProto converts what to compare; the caller adds the instance.
func ComparisonToProto(c helm.Comparison) *pb.CompareRequest {
	p := &pb.CompareRequest{Ref: ReleaseRefToProto(c.Ref), Correct: c.Correct, Fresh: c.Fresh}
	for _, i := range c.Ignore {
		p.Ignore = append(p.Ignore, &pb.CompareIgnore{
			Kind: text(i.Kind), Name: text(i.Name), Namespace: text(i.Namespace), Paths: texts(i.Paths),
		})
	}
	return p
}

// ComparisonFromProto is the inverse of ComparisonToProto.
func ComparisonFromProto(p *pb.CompareRequest) helm.Comparison {
	c := helm.Comparison{Ref: ReleaseRefFromProto(p.GetRef()), Correct: p.GetCorrect(), Fresh: p.GetFresh()}
	for _, i := range p.GetIgnore() {
		c.Ignore = append(c.Ignore, helm.Ignore{
			Kind: i.GetKind(), Name: i.GetName(), Namespace: i.GetNamespace(), Paths: i.GetPaths(),
		})
	}
	return c
}

// ContentToProto converts what a revision was made of.
func ContentToProto(c helm.Content) *pb.ContentResponse {
	return &pb.ContentResponse{
		Revision:     ReleaseRevisionToProto(c.Revision),
		ValuesJson:   secretToProto(c.Values),
		ComputedJson: secretToProto(c.Computed),
		Manifest:     secretToProto(c.Manifest),
		Hooks:        secretToProto(c.Hooks),
		Notes:        text(c.Notes),
	}
}

// ContentFromProto is the inverse of ContentToProto.
func ContentFromProto(p *pb.ContentResponse) helm.Content {
	return helm.Content{
		Revision: ReleaseRevisionFromProto(p.GetRevision()),
		Values:   secretFromProto(p.GetValuesJson()),
		Computed: secretFromProto(p.GetComputedJson()),
		Manifest: secretFromProto(p.GetManifest()),
		Hooks:    secretFromProto(p.GetHooks()),
		Notes:    p.GetNotes(),
	}
}
