package mirror

import (
	"context"
	"errors"
	"syscall"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// store reads the objects of a mirror. It sees the packs that exist when it
// is opened, so each piece of work opens its own.
type store struct{ *filesystem.Storage }

const (
	deltaCache = 16 << 20 // bytes of objects kept because others are built on them
	streamFrom = 1 << 20  // larger objects are streamed, not held
)

func (m *Mirror) open() store {
	return store{filesystem.NewStorageWithOptions(osfs.New(m.repo, osfs.WithBoundOS()), cache.NewObjectLRU(deltaCache),
		filesystem.Options{KeepDescriptors: true, LargeObjectThreshold: streamFrom})}
}

func (s store) close() { _ = s.Close() } // it only reads

// commit returns the commit with hash, or that an annotated tag with hash
// leads to.
func (s store) commit(hash plumbing.Hash) (*object.Commit, error) {
	for range 10 { // tags of tags are rare, endless ones impossible
		c, err := object.GetCommit(s, hash)
		if err == nil {
			return c, nil
		}
		tag, terr := object.GetTag(s, hash)
		if errors.Is(terr, plumbing.ErrObjectNotFound) {
			if s.HasEncodedObject(hash) == nil {
				return nil, ErrNotCommit
			}
			return nil, err
		}
		if terr != nil {
			return nil, terr
		}
		hash = tag.Target
	}
	return nil, ErrNotCommit
}

// Commit returns the commit that hash names, directly or through an annotated
// tag, or ErrUnknown.
func (m *Mirror) Commit(ctx context.Context, hash string) (*object.Commit, error) {
	using, err := waitLock(ctx, m.useLock(), syscall.LOCK_SH)
	if err != nil {
		return nil, err
	}
	defer using.release()
	st := m.open()
	defer st.close()
	c, err := st.commit(plumbing.NewHash(hash))
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, ErrUnknown
	}
	return c, err
}
