package remote

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/storage/memory"
)

// Push sends u.Objects in one pack.
func (n Native) Push(ctx context.Context, t Target, _ string, u Update) error {
	if t.Address.Scheme == "file" {
		return pushFile(t, u)
	}
	s, err := n.openPush(ctx, t)
	if err != nil {
		return classifyPush(ctx, t, u.Ref, err)
	}
	defer func() { _ = s.Close() }() // nothing depends on a farewell
	caps, l, err := advertised(ctx, s)
	if errors.Is(err, transport.ErrEmptyRemoteRepository) {
		err = nil
	}
	if err != nil {
		return classifyPush(ctx, t, u.Ref, err)
	}
	if l.Refs[u.Ref] != u.Old {
		return pushFault(t, Raced, u.Ref, "")
	}
	said := &bounded{max: maxStderr}
	req, err := updateRequest(caps, u)
	if err != nil {
		return pushFault(t, Other, u.Ref, err.Error())
	}
	req.Progress = said
	report, err := s.ReceivePack(ctx, req)
	return explainReport(ctx, t, u.Ref, report, err, said.String())
}

// openPush starts an exchange with the repository of t.
func (Native) openPush(ctx context.Context, t Target) (transport.ReceivePackSession, error) {
	if t.Address.Scheme == "ssh" {
		return openSSH(ctx, t, "git-receive-pack")
	}
	return pushHTTP(t)
}

func updateRequest(caps *capability.List, u Update) (*packp.ReferenceUpdateRequest, error) {
	if caps == nil {
		caps = capability.NewList()
	}
	req := packp.NewReferenceUpdateRequestFromCapabilities(caps)
	for _, c := range []capability.Capability{capability.ReportStatus, capability.Sideband64k} {
		if err := req.Capabilities.Set(c); err != nil {
			return nil, err
		}
	}
	req.Commands = []*packp.Command{{Name: plumbing.ReferenceName(u.Ref), Old: plumbing.NewHash(u.Old), New: plumbing.NewHash(u.New)}}
	pack, _, err := Pack(u.Objects)
	req.Packfile = io.NopCloser(pack)
	return req, err
}

// Pack puts objects into a pack, each whole, and returns its checksum, which
// names it.
func Pack(objects []plumbing.EncodedObject) (*bytes.Buffer, plumbing.Hash, error) {
	st, hashes := memory.NewStorage(), make([]plumbing.Hash, len(objects))
	for i, o := range objects {
		var err error
		if hashes[i], err = st.SetEncodedObject(o); err != nil {
			return nil, plumbing.ZeroHash, err
		}
	}
	var pack bytes.Buffer
	sum, err := packfile.NewEncoder(&pack, st, false).Encode(hashes, 0)
	return &pack, sum, err
}

// explainReport makes a Fault of a server's report and of what it said beside.
func explainReport(ctx context.Context, t Target, ref string, report *packp.ReportStatus, err error, said string) error {
	if report == nil && err == nil {
		return pushFault(t, Busy, ref, "no answer to the push")
	}
	if report == nil {
		return classifyPush(ctx, t, ref, err)
	}
	var words strings.Builder
	for line := range strings.Lines(said) {
		words.WriteString("remote: " + line)
	}
	for _, c := range report.CommandStatuses {
		if c.Status != "ok" {
			return refusal(t, ref, false, c.Status, serverWords(words.String()))
		}
	}
	if report.UnpackStatus != "ok" {
		return refusal(t, ref, false, "unpacker error: "+report.UnpackStatus, serverWords(words.String()))
	}
	return nil
}

// classifyPush makes a Fault of a push that did not come to a report.
func classifyPush(ctx context.Context, t Target, ref string, err error) error {
	if said, ok := errors.AsType[serverSaid](err); ok && ctx.Err() == nil {
		return explainNoPush(t, ref, string(said))
	}
	err = classifyNative(ctx, t, err)
	if f, ok := errors.AsType[*Fault](err); ok {
		f.Push = true
	}
	return err
}
