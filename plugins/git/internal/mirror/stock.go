package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"

	"github.com/sluice-gitops/sluice/plugins/git/internal/remote"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// stock is the new contents of a publication. They are written before it is
// known what they are built on: from the moment when an attempt learns that
// until its push has arrived, nobody else may be faster.
type stock struct {
	pack string // the file that holds all of held; "" if each has its own
	held map[plumbing.Hash]bool
}

// packFrom is how many contents go into one pack, which is faster to write and
// to read. A few get a file each, and so do many if nobody maintains the mirror:
// packs upon packs would make all reading slow.
const packFrom = 100

// stock writes the new contents of edits, if there is a repository yet. The
// caller holds the write lock.
func (m *Mirror) stock(ctx context.Context, a Access, edits []source.Edit) (stock, error) {
	using, err := waitLock(ctx, m.useLock(), syscall.LOCK_SH)
	if err != nil {
		return stock{}, err
	}
	defer using.release()
	if m.framework() != nil {
		return stock{}, nil // the attempt's fetch sees to it
	}
	st := m.open()
	defer st.close()
	w := newWriter(st)
	for _, e := range edits {
		if e.New == nil {
			continue
		}
		if _, err := w.blob(e.New); err != nil {
			return stock{}, err
		}
	}
	if _, maintained := a.Transport.(maintainer); !maintained || len(w.order) < packFrom {
		_, err := w.flush()
		return stock{}, err
	}
	return w.pack(filepath.Join(m.repo, "objects", "pack"))
}

// pack writes the objects as one pack into dir.
func (w *writer) pack(dir string) (stock, error) {
	pack, sum, err := remote.Pack(w.order)
	if err != nil {
		return stock{}, err
	}
	base := filepath.Join(dir, "pack-"+sum.String())
	s := stock{pack: base + ".pack", held: map[plumbing.Hash]bool{}}
	for _, o := range w.order {
		s.held[o.Hash()] = true
	}
	if s.there() {
		return s, nil
	}
	// Half an index, of a process that was killed, would be kept.
	if err := os.Remove(base + ".idx"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return stock{}, err
	}
	if err := packfile.UpdateObjectStorage(w.store, pack); err != nil {
		return stock{}, fmt.Errorf("write %d objects: %w", len(w.order), err)
	}
	return s, nil
}

// there reports whether the pack is in the mirror: it goes when that is packed
// anew or rebuilt, never while the use lock is held.
func (s stock) there() bool {
	if s.pack == "" {
		return false
	}
	_, err := os.Stat(s.pack)
	return err == nil
}
