package wire

import (
	"github.com/sluice-gitops/sluice/sdk/internal/pb"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// RevisionToProto converts a revision; the zero Revision is nil.
func RevisionToProto(r source.Revision) *pb.Revision {
	p := &pb.Revision{
		Id:      text(r.ID),
		Ref:     text(r.Ref),
		Time:    timeToProto(r.Time),
		Author:  text(r.Author),
		Message: text(r.Message),
		Url:     text(r.URL),
		Labels:  textMap(r.Labels),
	}
	if r.ID == "" && r.Ref == "" && r.Time.IsZero() && r.Author == "" && r.Message == "" && r.URL == "" && len(r.Labels) == 0 {
		return nil
	}
	return p
}

// RevisionFromProto is the inverse of RevisionToProto, with the time in UTC.
func RevisionFromProto(p *pb.Revision) source.Revision {
	return source.Revision{
		ID:      p.GetId(),
		Ref:     p.GetRef(),
		Time:    timeFromProto(p.GetTime()),
		Author:  p.GetAuthor(),
		Message: p.GetMessage(),
		URL:     p.GetUrl(),
		Labels:  p.GetLabels(),
	}
}

// EntryToProto converts one step of history.
func EntryToProto(e source.Entry) *pb.LogEntry {
	return &pb.LogEntry{Revision: RevisionToProto(e.Revision), Paths: texts(e.Paths)}
}

// EntryFromProto is the inverse of EntryToProto.
func EntryFromProto(p *pb.LogEntry) source.Entry {
	return source.Entry{Revision: RevisionFromProto(p.GetRevision()), Paths: p.GetPaths()}
}

// ChangeToProto converts what Commit writes, without the instance.
func ChangeToProto(c source.Change) *pb.CommitRequest {
	return &pb.CommitRequest{
		Edits:    each(c.Edits, editToProto),
		Message:  text(c.Message),
		Author:   text(c.Author),
		Branch:   text(c.Branch),
		Trailers: textMap(c.Trailers),
	}
}

// ChangeFromProto is the inverse of ChangeToProto.
func ChangeFromProto(p *pb.CommitRequest) source.Change {
	return source.Change{
		Edits:    each(p.GetEdits(), editFromProto),
		Message:  p.GetMessage(),
		Author:   p.GetAuthor(),
		Branch:   p.GetBranch(),
		Trailers: p.GetTrailers(),
	}
}

// Absent and empty content differ: the fields of an edit are optional.

func editToProto(e source.Edit) *pb.Edit {
	return &pb.Edit{Path: text(e.Path), Old: e.Old, New: e.New}
}

func editFromProto(p *pb.Edit) source.Edit {
	if p == nil {
		return source.Edit{}
	}
	return source.Edit{Path: p.Path, Old: p.Old, New: p.New}
}
