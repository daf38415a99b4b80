package mirror

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/sluice-gitops/sluice/plugins/git/internal/remote"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// Proposal is edits to be published as one commit.
type Proposal struct {
	Read   string // full name of the branch that Edits are about
	Branch string // full name of the branch that is written; may be Read
	// First allows the first commit of an empty repository, which has no
	// branch Read.
	First bool
	Edits []source.Edit
	Form  Form
}

// Target sets the branch that is written by its short name, "" being the one
// that is read.
func (p *Proposal) Target(branch string) {
	p.Branch = p.Read
	if branch != "" {
		p.Branch = "refs/heads/" + branch
	}
}

// Published tells what became of a Proposal.
type Published struct {
	Head      string // a commit that holds all edits but the conflicts; "" if there are no others
	New       bool   // Head has been made for them
	Conflicts []Conflict
	Diverged  []string // files that kept the target branch from being merged
}

// ErrInvalid is wrapped by the error for a Proposal that no state of the
// repository could take.
var ErrInvalid = errors.New("the edits are not valid")

// patience bounds how long Publish tries to be first. A caller's deadline may
// end it earlier.
const patience = 2 * time.Minute

// Publish commits the edits on top of what the remote has now, and pushes the
// commit. If somebody else pushes first it starts anew from what they have
// made of the repository: nothing is forced. An edit whose file holds neither
// the old nor the new content becomes a Conflict; the others are published.
//
// If it is not known whether a push has reached the remote, it asks; so
// calling Publish again after any failure never makes the same edits twice.
func (m *Mirror) Publish(ctx context.Context, a Access, p Proposal) (Published, error) {
	edits, err := gather(p.Edits)
	if err != nil {
		return Published{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	writing, err := waitLock(ctx, m.writeLock(), syscall.LOCK_EX)
	if err != nil {
		return Published{}, err
	}
	defer writing.release()
	pub := &publication{mirror: m, access: a, proposal: p, edits: edits, until: time.Now().Add(patience)}
	if pub.stock, err = m.stock(ctx, a, p.Edits); err != nil {
		a.Log.Debug("contents cannot be written ahead", "url", a.URL, "error", err) // the attempt says what to do
	}
	for {
		done, err := pub.attempt(ctx)
		if err == nil {
			return done, nil
		}
		if err := pub.recover(ctx, err); err != nil {
			return Published{}, err
		}
	}
}

// publication is one call of Publish.
type publication struct {
	mirror   *Mirror
	access   Access
	proposal Proposal
	edits    dir
	stock    stock
	until    time.Time

	raced     bool       // the last attempt lost a race
	seen      tips       // by the last attempt
	lost      int        // races since they were others
	sent      *Published // of a push whose fate is not known
	sentFault error
	rebuilt   bool // the mirror has been built anew
}

// tips are the newest commits of the two branches; zero: there is none.
type tips struct{ read, branch plumbing.Hash }

// attempt fetches, builds the commit, and pushes it.
func (p *publication) attempt(ctx context.Context) (Published, error) {
	a := p.access
	if p.raced && a.Racer != nil {
		a.Transport = a.Racer
	}
	at, err := p.proposal.fetch(ctx, p.mirror, a)
	if err != nil {
		return Published{}, err
	}
	if at != p.seen {
		p.seen, p.lost = at, 0
	}
	using, err := waitLock(ctx, p.mirror.useLock(), syscall.LOCK_SH)
	if err != nil {
		return Published{}, err
	}
	defer using.release()
	st := p.mirror.open()
	defer st.close()
	if p.sent != nil {
		arrived, err := contains(ctx, st, at.branch, plumbing.NewHash(p.sent.Head))
		if arrived || err != nil {
			return *p.sent, err
		}
		return Published{}, fatal{p.sentFault}
	}
	d, objects, err := p.build(ctx, st, at)
	if err != nil || !d.New {
		return d, err
	}
	u := remote.Update{Ref: p.proposal.Branch, Old: name(at.branch), New: d.Head, Objects: objects}
	if err := p.mirror.push(ctx, a, u); err != nil {
		return Published{}, p.note(d, err)
	}
	p.mirror.advance(u)
	return d, nil
}

// build makes the commit and writes what it needs into the mirror.
func (p *publication) build(ctx context.Context, st store, at tips) (Published, []plumbing.EncodedObject, error) {
	w := newWriter(st)
	if p.stock.there() {
		w.held = p.stock.held
	}
	d, err := p.draft(ctx, w, at)
	if err != nil || !d.New {
		return d, nil, err
	}
	objects, err := w.flush()
	return d, objects, err
}

// note keeps in mind what may have been published although err says
// otherwise.
func (p *publication) note(d Published, err error) error {
	f, ok := errors.AsType[*remote.Fault](err)
	if ok && f.Kind.Temporary() && f.Kind != remote.Raced && f.Kind != remote.Corrupt {
		p.sent, p.sentFault = &d, err
		return unsure{err}
	}
	return err
}

// unsure is a failed push that may have succeeded.
type unsure struct{ error }

// fatal is a failure that is not to be recovered from.
type fatal struct{ error }

func (f fatal) Unwrap() error { return f.error }

// recover makes another attempt sensible, or returns err.
func (p *publication) recover(ctx context.Context, err error) error {
	if f, ok := errors.AsType[fatal](err); ok {
		return f.error
	}
	if u, ok := errors.AsType[unsure](err); ok {
		if ctx.Err() != nil {
			return u.error
		}
		return nil // the next attempt looks
	}
	if p.sent != nil {
		return p.sentFault // it is still not known; the first failure says more
	}
	f, _ := errors.AsType[*remote.Fault](err)
	switch {
	case f != nil && f.Kind == remote.Raced && time.Now().Before(p.until):
		return p.pause(ctx)
	case (f != nil && f.Kind == remote.Corrupt || errors.Is(err, ErrDamaged)) && !p.rebuilt:
		p.rebuilt, p.raced = true, false
		p.access.Log.Warn("mirror is damaged and is built again", "url", p.access.URL, "cause", err)
		return p.mirror.Rebuild(ctx)
	}
	return err
}

func (p *publication) pause(ctx context.Context) error {
	p.raced = true
	p.lost++
	p.access.Log.Debug("somebody else has pushed first", "url", p.access.URL, "lost", p.lost)
	return pause(ctx, p.access.URL, p.lost)
}

// fetch brings the two branches.
func (p Proposal) fetch(ctx context.Context, m *Mirror, a Access) (tips, error) {
	refs := []string{p.Read}
	if p.Branch != p.Read {
		refs = append(refs, p.Branch)
	}
	results, err := m.Fetch(ctx, a, refs...)
	if err != nil {
		return tips{}, err
	}
	if read := results[p.Read]; read.Err != nil && !p.First {
		return tips{}, read.Err
	}
	return tips{plumbing.NewHash(results[p.Read].Hash), plumbing.NewHash(results[p.Branch].Hash)}, nil
}

// writeLock is held by the one call of Publish that is at work: two of them
// would only lose races against each other.
func (m *Mirror) writeLock() string { return filepath.Join(m.dir, "write.lock") }

// name is the hash as the remote names it, "" for none.
func name(h plumbing.Hash) string {
	if h.IsZero() {
		return ""
	}
	return h.String()
}
