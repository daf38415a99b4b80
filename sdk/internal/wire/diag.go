package wire

import (
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/internal/pb"
)

var severities = newEnum("severity", map[diag.Severity]pb.Severity{
	diag.Error:   pb.Severity_SEVERITY_ERROR,
	diag.Warning: pb.Severity_SEVERITY_WARNING,
})

// DiagnosticToProto treats a severity that does not exist as an error, so that
// no problem is lost.
func DiagnosticToProto(d diag.Diagnostic) *pb.Diagnostic {
	severity, err := severities.encode(d.Severity)
	if err != nil {
		severity = pb.Severity_SEVERITY_ERROR
	}
	p := &pb.Diagnostic{
		Severity: severity,
		Summary:  text(d.Summary),
		Detail:   text(d.Detail),
		Path:     each(d.Path, stepToProto),
	}
	if d.Subject != nil {
		p.Subject = &pb.FileRange{
			File:  text(d.Subject.File),
			Start: posToProto(d.Subject.Start),
			End:   posToProto(d.Subject.End),
		}
	}
	return p
}

// DiagnosticFromProto is the inverse of DiagnosticToProto.
func DiagnosticFromProto(p *pb.Diagnostic) (diag.Diagnostic, error) {
	severity, err := severities.decode(p.GetSeverity())
	if err != nil {
		return diag.Diagnostic{}, err
	}
	d := diag.Diagnostic{
		Severity: severity,
		Summary:  p.GetSummary(),
		Detail:   p.GetDetail(),
		Path:     each(p.GetPath(), stepFromProto),
	}
	if s := p.GetSubject(); s != nil {
		d.Subject = &diag.Range{
			File:  s.GetFile(),
			Start: posFromProto(s.GetStart()),
			End:   posFromProto(s.GetEnd()),
		}
	}
	return d, nil
}

// DiagnosticsToProto converts a list.
func DiagnosticsToProto(l diag.List) []*pb.Diagnostic { return each(l, DiagnosticToProto) }

// DiagnosticsFromProto converts a list.
func DiagnosticsFromProto(l []*pb.Diagnostic) (diag.List, error) {
	return tryEach(l, DiagnosticFromProto)
}

// optional diagnostics stand in changes and results.

func diagnosticToProto(d *diag.Diagnostic) *pb.Diagnostic {
	if d == nil {
		return nil
	}
	return DiagnosticToProto(*d)
}

func diagnosticFromProto(p *pb.Diagnostic) (*diag.Diagnostic, error) {
	if p == nil {
		return nil, nil
	}
	d, err := DiagnosticFromProto(p)
	if err != nil {
		return nil, err
	}
	return &d, nil
}

func stepToProto(s diag.Step) *pb.PathStep {
	if s.Name != "" {
		return &pb.PathStep{Step: &pb.PathStep_Name{Name: text(s.Name)}}
	}
	return &pb.PathStep{Step: &pb.PathStep_Index{Index: int64(s.Index)}}
}

func stepFromProto(p *pb.PathStep) diag.Step {
	return diag.Step{Name: p.GetName(), Index: int(p.GetIndex())}
}

func posToProto(p diag.Pos) *pb.FilePosition {
	return &pb.FilePosition{Line: int64(p.Line), Column: int64(p.Column), Byte: int64(p.Byte)}
}

func posFromProto(p *pb.FilePosition) diag.Pos {
	return diag.Pos{Line: int(p.GetLine()), Column: int(p.GetColumn()), Byte: int(p.GetByte())}
}
