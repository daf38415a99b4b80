package wire

import (
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/internal/pb"
)

var actions = newEnum("action", map[applier.Action]pb.Action{
	applier.Create:   pb.Action_ACTION_CREATE,
	applier.Update:   pb.Action_ACTION_UPDATE,
	applier.Recreate: pb.Action_ACTION_RECREATE,
	applier.None:     pb.Action_ACTION_NONE,
	applier.Prune:    pb.Action_ACTION_PRUNE,
	applier.Kept:     pb.Action_ACTION_KEPT,
	applier.Ignored:  pb.Action_ACTION_IGNORED,
	applier.Refused:  pb.Action_ACTION_REFUSED,
})

var outcomes = newEnum("outcome", map[applier.Outcome]pb.Outcome{
	applier.Created:   pb.Outcome_OUTCOME_CREATED,
	applier.Updated:   pb.Outcome_OUTCOME_UPDATED,
	applier.Recreated: pb.Outcome_OUTCOME_RECREATED,
	applier.Unchanged: pb.Outcome_OUTCOME_UNCHANGED,
	applier.Deleted:   pb.Outcome_OUTCOME_DELETED,
	applier.Skipped:   pb.Outcome_OUTCOME_SKIPPED,
	applier.Failed:    pb.Outcome_OUTCOME_FAILED,
})

var healths = newEnum("health", map[applier.Health]pb.Health{
	applier.Current:     pb.Health_HEALTH_CURRENT,
	applier.InProgress:  pb.Health_HEALTH_IN_PROGRESS,
	applier.Stalled:     pb.Health_HEALTH_FAILED,
	applier.Terminating: pb.Health_HEALTH_TERMINATING,
	applier.NotFound:    pb.Health_HEALTH_NOT_FOUND,
	applier.Unknown:     pb.Health_HEALTH_UNKNOWN,
})

var phases = newEnum("phase of a rollout", map[applier.Phase]pb.Phase{
	"":                      pb.Phase_PHASE_UNSPECIFIED,
	applier.RolloutStarted:  pb.Phase_PHASE_STARTED,
	applier.RolloutUpdating: pb.Phase_PHASE_UPDATING,
	applier.RolloutReady:    pb.Phase_PHASE_READY,
	applier.RolloutFailed:   pb.Phase_PHASE_FAILED,
})

// RefToProto converts the name of an object.
func RefToProto(r applier.Ref) *pb.ObjectRef {
	return &pb.ObjectRef{
		Group:     text(r.Group),
		Version:   text(r.Version),
		Kind:      text(r.Kind),
		Namespace: text(r.Namespace),
		Name:      text(r.Name),
	}
}

// RefFromProto is the inverse of RefToProto.
func RefFromProto(p *pb.ObjectRef) applier.Ref {
	return applier.Ref{
		Group:     p.GetGroup(),
		Version:   p.GetVersion(),
		Kind:      p.GetKind(),
		Namespace: p.GetNamespace(),
		Name:      p.GetName(),
	}
}

// SetToProto converts the desired state of an owner.
func SetToProto(s applier.Set) *pb.ObjectSet {
	return &pb.ObjectSet{
		Owner:    text(s.Owner),
		Objects:  text(s.Objects),
		Revision: text(s.Revision),
		Complete: s.Complete,
		Diff:     s.Diff,
		Adopt:    s.Adopt,
		Recreate: s.Recreate,
		Timeout:  durationToProto(s.Timeout),
		As:       text(s.As),
		Origin:   text(s.Origin),
		Writer:   text(s.Writer),
	}
}

// SetFromProto is the inverse of SetToProto.
func SetFromProto(p *pb.ObjectSet) applier.Set {
	return applier.Set{
		Owner:    p.GetOwner(),
		Objects:  p.GetObjects(),
		Revision: p.GetRevision(),
		Complete: p.GetComplete(),
		Diff:     p.GetDiff(),
		Adopt:    p.GetAdopt(),
		Recreate: p.GetRecreate(),
		Timeout:  durationFromProto(p.GetTimeout()),
		As:       p.GetAs(),
		Origin:   p.GetOrigin(),
		Writer:   p.GetWriter(),
	}
}

// DeletionToProto converts what Delete removes, without the instance.
func DeletionToProto(d applier.Deletion) *pb.DeleteRequest {
	return &pb.DeleteRequest{
		Owner:   text(d.Owner),
		Refs:    each(d.Refs, RefToProto),
		Timeout: durationToProto(d.Timeout),
		As:      text(d.As),
	}
}

// DeletionFromProto is the inverse of DeletionToProto.
func DeletionFromProto(p *pb.DeleteRequest) applier.Deletion {
	return applier.Deletion{
		Owner:   p.GetOwner(),
		Refs:    each(p.GetRefs(), RefFromProto),
		Timeout: durationFromProto(p.GetTimeout()),
		As:      p.GetAs(),
	}
}

// PlannedToProto converts what a plan intends for an object.
func PlannedToProto(c applier.Change) (*pb.Change, error) {
	action, err := actions.encode(c.Action)
	return &pb.Change{
		Ref:        RefToProto(c.Ref),
		Action:     action,
		Reason:     text(c.Reason),
		Diff:       text(c.Diff),
		File:       text(c.File),
		Line:       int64(c.Line),
		Protected:  c.Protected,
		Diagnostic: diagnosticToProto(c.Diagnostic),
	}, err
}

// PlannedFromProto is the inverse of PlannedToProto.
func PlannedFromProto(p *pb.Change) (applier.Change, error) {
	action, err := actions.decode(p.GetAction())
	if err != nil {
		return applier.Change{}, err
	}
	d, err := diagnosticFromProto(p.GetDiagnostic())
	if err != nil {
		return applier.Change{}, err
	}
	return applier.Change{
		Ref:        RefFromProto(p.GetRef()),
		Action:     action,
		Reason:     p.GetReason(),
		Diff:       p.GetDiff(),
		File:       p.GetFile(),
		Line:       int(p.GetLine()),
		Protected:  p.GetProtected(),
		Diagnostic: d,
	}, nil
}

// ResultToProto converts what became of an object.
func ResultToProto(r applier.Result) (*pb.ObjectResult, error) {
	outcome, err := outcomes.encode(r.Outcome)
	return &pb.ObjectResult{
		Ref:        RefToProto(r.Ref),
		Outcome:    outcome,
		Reason:     text(r.Reason),
		File:       text(r.File),
		Line:       int64(r.Line),
		Diagnostic: diagnosticToProto(r.Diagnostic),
	}, err
}

// ResultFromProto is the inverse of ResultToProto.
func ResultFromProto(p *pb.ObjectResult) (applier.Result, error) {
	outcome, err := outcomes.decode(p.GetOutcome())
	if err != nil {
		return applier.Result{}, err
	}
	d, err := diagnosticFromProto(p.GetDiagnostic())
	if err != nil {
		return applier.Result{}, err
	}
	return applier.Result{
		Ref:        RefFromProto(p.GetRef()),
		Outcome:    outcome,
		Reason:     p.GetReason(),
		File:       p.GetFile(),
		Line:       int(p.GetLine()),
		Diagnostic: d,
	}, nil
}

// SummaryToProto converts what closes a Plan, Apply or Delete.
func SummaryToProto(s applier.Summary) *pb.Summary {
	return &pb.Summary{Owned: int64(s.Owned), Origin: text(s.Origin), Writer: text(s.Writer)}
}

// SummaryFromProto is the inverse of SummaryToProto.
func SummaryFromProto(p *pb.Summary) applier.Summary {
	return applier.Summary{Owned: int(p.GetOwned()), Origin: p.GetOrigin(), Writer: p.GetWriter()}
}

// StatusToProto converts how an object fares.
func StatusToProto(s applier.ObjectStatus) (*pb.ObjectStatus, error) {
	health, err := healths.encode(s.Health)
	return &pb.ObjectStatus{
		Ref:     RefToProto(s.Ref),
		Health:  health,
		Message: text(s.Message),
		Drifted: s.Drifted,
	}, err
}

// StatusFromProto is the inverse of StatusToProto.
func StatusFromProto(p *pb.ObjectStatus) (applier.ObjectStatus, error) {
	health, err := healths.decode(p.GetHealth())
	return applier.ObjectStatus{
		Ref:     RefFromProto(p.GetRef()),
		Health:  health,
		Message: p.GetMessage(),
		Drifted: p.GetDrifted(),
	}, err
}

// WorkloadFilterToProto converts a filter, without the instance.
func WorkloadFilterToProto(f applier.WorkloadFilter) *pb.WorkloadsRequest {
	return &pb.WorkloadsRequest{
		Namespace: text(f.Namespace),
		Owner:     text(f.Owner),
		Kinds: each(f.Kinds, func(k applier.Kind) *pb.ObjectKind {
			return &pb.ObjectKind{Group: text(k.Group), Kind: text(k.Kind)}
		}),
	}
}

// WorkloadFilterFromProto is the inverse of WorkloadFilterToProto.
func WorkloadFilterFromProto(p *pb.WorkloadsRequest) applier.WorkloadFilter {
	return applier.WorkloadFilter{
		Namespace: p.GetNamespace(),
		Owner:     p.GetOwner(),
		Kinds: each(p.GetKinds(), func(k *pb.ObjectKind) applier.Kind {
			return applier.Kind{Group: k.GetGroup(), Kind: k.GetKind()}
		}),
	}
}

// WorkloadToProto converts something that runs containers.
func WorkloadToProto(w applier.Workload) (*pb.Workload, error) {
	p := &pb.Workload{
		Ref:            RefToProto(w.Ref),
		Owner:          text(w.Owner),
		Containers:     each(w.Containers, containerToProto),
		ServiceAccount: text(w.ServiceAccount),
		PullSecrets:    texts(w.PullSecrets),
		Annotations:    textMap(w.Annotations),
		Object:         w.Object,
	}
	var err error
	p.Rollout, err = rolloutToProto(w.Rollout)
	return p, err
}

// WorkloadFromProto is the inverse of WorkloadToProto.
func WorkloadFromProto(p *pb.Workload) (applier.Workload, error) {
	w := applier.Workload{
		Ref:            RefFromProto(p.GetRef()),
		Owner:          p.GetOwner(),
		Containers:     each(p.GetContainers(), containerFromProto),
		ServiceAccount: p.GetServiceAccount(),
		PullSecrets:    p.GetPullSecrets(),
		Annotations:    p.GetAnnotations(),
		Object:         p.GetObject(),
	}
	var err error
	w.Rollout, err = rolloutFromProto(p.GetRollout())
	return w, err
}

func rolloutToProto(r applier.Rollout) (*pb.Rollout, error) {
	if r == (applier.Rollout{}) {
		return nil, nil
	}
	phase, err := phases.encode(r.Phase)
	return &pb.Rollout{
		Phase:     phase,
		Message:   text(r.Message),
		Desired:   int64(r.Desired),
		Updated:   int64(r.Updated),
		Ready:     int64(r.Ready),
		Available: int64(r.Available),
		Outdated:  int64(r.Outdated),
	}, err
}

func rolloutFromProto(p *pb.Rollout) (applier.Rollout, error) {
	if p == nil {
		return applier.Rollout{}, nil
	}
	phase, err := phases.decode(p.GetPhase())
	return applier.Rollout{
		Phase:     phase,
		Message:   p.GetMessage(),
		Desired:   int(p.GetDesired()),
		Updated:   int(p.GetUpdated()),
		Ready:     int(p.GetReady()),
		Available: int(p.GetAvailable()),
		Outdated:  int(p.GetOutdated()),
	}, err
}

func containerToProto(c applier.Container) *pb.Container {
	return &pb.Container{Name: text(c.Name), Image: text(c.Image), Init: c.Init}
}

func containerFromProto(p *pb.Container) applier.Container {
	return applier.Container{Name: p.GetName(), Image: p.GetImage(), Init: p.GetInit()}
}

// SecretRefToProto converts the name of a secret value.
func SecretRefToProto(r applier.SecretRef) *pb.SecretRef {
	return &pb.SecretRef{Namespace: text(r.Namespace), Name: text(r.Name), Key: text(r.Key)}
}

// SecretRefFromProto is the inverse of SecretRefToProto.
func SecretRefFromProto(p *pb.SecretRef) applier.SecretRef {
	return applier.SecretRef{Namespace: p.GetNamespace(), Name: p.GetName(), Key: p.GetKey()}
}
