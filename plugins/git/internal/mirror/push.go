package mirror

import (
	"context"
	"errors"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/sluice-gitops/sluice/plugins/git/internal/remote"
)

// push pushes, with fresh credentials if the old ones are refused. The caller
// holds the use lock.
func (m *Mirror) push(ctx context.Context, a Access, u remote.Update) error {
	for _, fresh := range []bool{false, true} {
		t, err := a.Target(ctx, fresh)
		if err != nil {
			return err
		}
		err = a.Transport.Push(ctx, t, m.repo, u)
		if f, ok := errors.AsType[*remote.Fault](err); !ok || f.Kind != remote.Denied || fresh {
			return err
		}
	}
	return nil
}

// advance notes that the remote's ref has moved, so that what was pushed
// belongs to the mirror and need not be fetched. It waits for nobody, since the
// caller holds the use lock: what it cannot do the next fetch does.
func (m *Mirror) advance(u remote.Update) {
	fetching, err := tryLock(m.fetchLock(), syscall.LOCK_EX)
	if err != nil {
		return
	}
	defer fetching.release()
	st := m.open()
	defer st.close()
	ref := plumbing.ReferenceName(localRef(u.Ref))
	if have, err := st.Reference(ref); err == nil && have.Hash().String() != u.Old {
		return // a fetch has seen it, or more, already
	}
	if st.SetReference(plumbing.NewHashReference(ref, plumbing.NewHash(u.New))) == nil {
		m.setVerified(u.Ref, plumbing.NewHash(u.New))
	}
}

// pause waits a moment, never the same as that of others. It grows with the
// races that were lost against nobody who has moved the ref: a server that
// cannot move it is not to be stormed.
func pause(ctx context.Context, url string, lost int) error {
	const first, most = 5 * time.Millisecond, 200 * time.Millisecond
	select {
	case <-ctx.Done():
		return contextFault(ctx, url)
	case <-time.After(rand.N(min(first<<min(lost, 6), most))):
		return nil
	}
}
