package wire

import (
	"github.com/sluice-gitops/sluice/sdk/internal/pb"
	"github.com/sluice-gitops/sluice/sdk/renderer"
)

// RenderToProto converts what to render, without the instance.
func RenderToProto(r renderer.Request) *pb.RenderRequest {
	return &pb.RenderRequest{Dir: text(r.Dir), Paths: texts(r.Paths), Out: text(r.Out), Namespace: text(r.Namespace)}
}

// RenderFromProto is the inverse of RenderToProto.
func RenderFromProto(p *pb.RenderRequest) renderer.Request {
	return renderer.Request{Dir: p.GetDir(), Paths: p.GetPaths(), Out: p.GetOut(), Namespace: p.GetNamespace()}
}

// RenderResultToProto converts what came of rendering.
func RenderResultToProto(r renderer.Result) *pb.RenderResponse {
	p := &pb.RenderResponse{
		Files:       texts(r.Files),
		FilesKnown:  r.Files != nil,
		Diagnostics: DiagnosticsToProto(r.Diagnostics),
	}
	if r.Origins != nil {
		p.Origins = make(map[string]*pb.Origin, len(r.Origins))
	}
	for file, o := range r.Origins {
		p.Origins[text(file)] = &pb.Origin{File: text(o.File), Line: int64(o.Line)}
	}
	return p
}

// RenderResultFromProto is the inverse of RenderResultToProto.
func RenderResultFromProto(p *pb.RenderResponse) (renderer.Result, error) {
	r := renderer.Result{Files: p.GetFiles()}
	if r.Files == nil && p.GetFilesKnown() {
		r.Files = []string{}
	}
	if !p.GetFilesKnown() {
		r.Files = nil
	}
	if p.GetOrigins() != nil {
		r.Origins = make(map[string]renderer.Origin, len(p.GetOrigins()))
	}
	for file, o := range p.GetOrigins() {
		r.Origins[file] = renderer.Origin{File: o.GetFile(), Line: int(o.GetLine())}
	}
	var err error
	r.Diagnostics, err = DiagnosticsFromProto(p.GetDiagnostics())
	return r, err
}

// UpdateToProto converts what to change, without the instance.
func UpdateToProto(r renderer.UpdateRequest) *pb.UpdateRequest {
	return &pb.UpdateRequest{
		Dir: text(r.Dir), Paths: texts(r.Paths), Out: text(r.Out), Namespace: text(r.Namespace),
		Changes: each(r.Changes, renderedChangeToProto),
	}
}

// UpdateFromProto is the inverse of UpdateToProto.
func UpdateFromProto(p *pb.UpdateRequest) renderer.UpdateRequest {
	return renderer.UpdateRequest{
		Request: renderer.Request{Dir: p.GetDir(), Paths: p.GetPaths(), Out: p.GetOut(), Namespace: p.GetNamespace()},
		Changes: each(p.GetChanges(), renderedChangeFromProto),
	}
}

// UpdateResultToProto converts what came of changes.
func UpdateResultToProto(r renderer.UpdateResult) *pb.UpdateResponse {
	return &pb.UpdateResponse{Edits: each(r.Edits, editToProto), Errors: texts(r.Errors)}
}

// UpdateResultFromProto is the inverse of UpdateResultToProto.
func UpdateResultFromProto(p *pb.UpdateResponse) renderer.UpdateResult {
	return renderer.UpdateResult{Edits: each(p.GetEdits(), editFromProto), Errors: p.GetErrors()}
}

func renderedChangeToProto(c renderer.Change) *pb.RenderedChange {
	p := &pb.RenderedChange{
		Workload: RefToProto(c.Workload), Container: text(c.Container), Image: text(c.Image), Annotation: text(c.Annotation),
	}
	if c.Value != nil {
		value := text(*c.Value)
		p.Value = &value
	}
	return p
}

func renderedChangeFromProto(p *pb.RenderedChange) renderer.Change {
	c := renderer.Change{
		Workload: RefFromProto(p.GetWorkload()), Container: p.GetContainer(), Image: p.GetImage(), Annotation: p.GetAnnotation(),
	}
	if p != nil && p.Value != nil {
		value := p.GetValue()
		c.Value = &value
	}
	return c
}
