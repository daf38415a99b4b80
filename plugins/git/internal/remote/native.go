package remote

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/server"
)

// Native is the Transport in pure Go. It lists all refs at each call, since
// the protocol that it speaks knows no other way.
type Native struct{}

func (Native) Name() string { return "go-git" }

func (n Native) List(ctx context.Context, t Target) (Listing, error) {
	s, err := n.openFetch(ctx, t)
	if err != nil {
		return Listing{}, classifyNative(ctx, t, err)
	}
	defer func() { _ = s.Close() }() // nothing depends on a farewell
	_, l, err := advertised(ctx, s)
	if errors.Is(err, transport.ErrEmptyRemoteRepository) {
		return Listing{Refs: map[string]string{}}, nil
	}
	if err != nil {
		return Listing{}, classifyNative(ctx, t, err)
	}
	return l, nil
}

func (n Native) Fetch(ctx context.Context, t Target, dir string, specs []Spec) error {
	repo, err := git.PlainOpen(dir)
	if err != nil {
		return fault(t, Corrupt, err.Error())
	}
	s, err := n.openFetch(ctx, t)
	if err != nil {
		return classifyNative(ctx, t, err)
	}
	defer func() { _ = s.Close() }() // nothing depends on a farewell
	caps, l, err := advertised(ctx, s)
	if errors.Is(err, transport.ErrEmptyRemoteRepository) {
		err = nil // its refs are missing, then
	}
	if err != nil {
		return classifyNative(ctx, t, err)
	}
	hashes, err := resolve(t, caps, l, specs)
	if err != nil {
		return err
	}
	if err := download(ctx, s, repo.Storer, caps, hashes); err != nil {
		return classifyNative(ctx, t, err)
	}
	for i, spec := range specs {
		ref := plumbing.NewHashReference(plumbing.ReferenceName(spec.Local), hashes[i])
		if err := repo.Storer.SetReference(ref); err != nil {
			return asFault(t, err)
		}
	}
	return nil
}

// openFetch starts an exchange with the repository of t.
func (Native) openFetch(ctx context.Context, t Target) (transport.UploadPackSession, error) {
	switch {
	case t.Address.Scheme == "ssh":
		return openSSH(ctx, t, "git-upload-pack")
	case t.Address.IsHTTP():
		return fetchHTTP(t)
	}
	return openFile(t)
}

// openFile serves a local repository, with a worktree or without, in process.
func openFile(t Target) (transport.UploadPackSession, error) {
	repo, err := git.PlainOpen(t.Address.Path)
	if errors.Is(err, git.ErrRepositoryNotExists) {
		return nil, fault(t, NotFound, "")
	}
	if err != nil {
		return nil, err
	}
	ep := &transport.Endpoint{Protocol: "file", Path: filepath.Clean(t.Address.Path)}
	return server.NewClient(server.MapLoader{ep.String(): repo.Storer}).NewUploadPackSession(ep, nil)
}

// advertised reads what the server offers.
func advertised(ctx context.Context, s transport.Session) (*capability.List, Listing, error) {
	ar, err := s.AdvertisedReferencesContext(ctx)
	if err != nil {
		return nil, Listing{}, err
	}
	refs, err := ar.AllReferences()
	if err != nil {
		return nil, Listing{}, err
	}
	l := Listing{Refs: map[string]string{}}
	for name, ref := range refs {
		if ref.Type() == plumbing.SymbolicReference {
			if name == plumbing.HEAD {
				l.Head = ref.Target().String()
			}
			target, ok := refs[ref.Target()]
			if !ok {
				continue
			}
			ref = target
		}
		l.Refs[name.String()] = ref.Hash().String()
	}
	return ar.Capabilities, l, nil
}

// resolve finds the hashes that specs ask for. A commit hash stands for
// itself with servers that give out any commit.
func resolve(t Target, caps *capability.List, l Listing, specs []Spec) ([]plumbing.Hash, error) {
	anyCommit := caps != nil && (caps.Supports(capability.AllowReachableSHA1InWant) || caps.Supports("allow-any-sha1-in-want"))
	hashes := make([]plumbing.Hash, len(specs))
	for i, spec := range specs {
		hash, ok := l.Refs[spec.Source]
		if !ok && anyCommit && plumbing.IsHash(spec.Source) {
			hash, ok = spec.Source, true
		}
		if !ok {
			f := fault(t, RefMissing, "")
			f.Ref = spec.Source
			return nil, f
		}
		hashes[i] = plumbing.NewHash(hash)
	}
	return hashes, nil
}

// download brings the objects of hashes that st lacks.
func download(ctx context.Context, s transport.UploadPackSession, st storer.Storer, caps *capability.List, hashes []plumbing.Hash) error {
	req := packp.NewUploadPackRequestFromCapabilities(caps)
	for _, h := range hashes {
		if st.HasEncodedObject(h) != nil {
			req.Wants = append(req.Wants, h)
		}
	}
	if len(req.Wants) == 0 {
		return nil
	}
	if caps.Supports(capability.Sideband64k) {
		if err := req.Capabilities.Set(capability.Sideband64k); err != nil {
			return err
		}
	}
	if caps.Supports(capability.NoProgress) {
		if err := req.Capabilities.Set(capability.NoProgress); err != nil {
			return err
		}
	}
	var err error
	if req.Haves, err = haves(st); err != nil {
		return err
	}
	resp, err := s.UploadPack(ctx, req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Close() }() // all of it has been read, or an error says more
	if req.Capabilities.Supports(capability.Sideband64k) {
		return unpack(st, sideband.NewDemuxer(sideband.Sideband64k, resp))
	}
	return unpack(st, resp)
}

// unpack stores the objects of a pack: a few of them one by one, as git does,
// since a pack for each push of somebody would make all reading slow.
func unpack(st storer.Storer, pack io.Reader) error {
	const header, few = 12, 100
	r := bufio.NewReader(pack)
	b, err := r.Peek(header)
	if err == nil && binary.BigEndian.Uint32(b[header-4:]) < few {
		st = struct{ storer.Storer }{st} // without its way to take whole packs
	}
	return packfile.UpdateObjectStorage(st, r)
}

// haves lists the commits that the server need not send: the local refs, and
// some of their ancestors in case the refs have been moved back.
func haves(st storer.Storer) ([]plumbing.Hash, error) {
	const most = 256
	refs, err := st.IterReferences()
	if err != nil {
		return nil, err
	}
	var queue []plumbing.Hash
	err = refs.ForEach(func(r *plumbing.Reference) error {
		if r.Type() == plumbing.HashReference {
			queue = append(queue, r.Hash())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	seen := map[plumbing.Hash]bool{}
	var out []plumbing.Hash
	for len(queue) > 0 && len(out) < most {
		h := queue[0]
		queue = queue[1:]
		if seen[h] {
			continue
		}
		seen[h] = true
		o, err := st.EncodedObject(plumbing.AnyObject, h)
		if err != nil {
			return nil, fmt.Errorf("object %s: %w", h, err)
		}
		if o.Type() != plumbing.CommitObject {
			continue // a tag: its commit comes once more at worst
		}
		c, err := object.DecodeCommit(st, o)
		if err != nil {
			return nil, fmt.Errorf("commit %s: %w", h, err)
		}
		out = append(out, h)
		queue = append(queue, c.ParentHashes...)
	}
	return out, nil
}
