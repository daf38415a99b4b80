package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/deadline"
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// markTimeout bounds the moving of one marker.
const markTimeout = time.Minute

// markerKind are the kinds of markers, as the configuration names them.
const (
	tagMarker        = "tag"
	annotationMarker = "annotation"
)

// moveMarker records how far a sync has come, where its block says: in its
// source or in its target. It is moved once for each revision that was applied;
// a failure is a warning, and the next run tries again.
func (e *Engine) moveMarker(ctx context.Context, id string) {
	m, ok := e.markerToMove(id)
	if !ok {
		return
	}
	moving, cancel := deadline.Within(ctx, markTimeout)
	defer cancel()
	err := deadline.Because(moving, m.move(moving))
	if ctx.Err() != nil {
		return // the next run does it
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	if n == nil || n.sync == nil {
		return
	}
	if err != nil {
		text := fmt.Sprintf("the %s %q was not moved to %s: %s", m.cfg.Kind, m.cfg.Name, words.Short(m.revision.ID), words.OneLine(err))
		if n.sync.markSaid != text {
			n.sync.markSaid = text
			e.publish(n, eventMarkFailed, text)
		}
		return
	}
	n.sync.markSaid = ""
	n.sync.record.Marked = m.String()
	e.recorder.mark(id)
}

// marking is a marker that is to be moved.
type marking struct {
	owner    string
	cfg      config.Marker
	revision source.Revision
	in       instance // of the source or the applier
}

// String identifies what is marked where.
func (m marking) String() string { return m.cfg.Kind + " " + m.cfg.Name + " " + m.revision.ID }

// markerToMove returns the marker of a sync, if it does not stand where the sync
// is.
func (e *Engine) markerToMove(id string) (m marking, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := e.nodes[id]
	if n == nil || n.sync == nil || n.sync.cfg.Marker == nil || n.sync.record.Revision.ID == "" {
		return m, false
	}
	s := n.sync
	m = marking{owner: s.cfg.Name, cfg: *s.cfg.Marker, revision: s.record.Revision}
	if s.record.Marked == m.String() {
		return m, false
	}
	m.in = e.nodes[s.cfg.Applier].handle
	if m.cfg.Kind == tagMarker {
		m.in = e.nodes[s.cfg.Source].handle
	}
	return m, m.in != nil
}

func (m marking) move(ctx context.Context) error {
	if m.cfg.Kind == tagMarker {
		marker, ok := m.in.Source().(source.Marker)
		if !ok || !m.in.Has(source.CanMark) {
			return errors.New("this kind of source has no tags")
		}
		return marker.Mark(ctx, m.cfg.Name, m.revision, fmt.Sprintf("Sync pointer\n\nsync: %s\n", m.owner))
	}
	marker, ok := m.in.Applier().(applier.Marker)
	if !ok || !m.in.Has(applier.CanMark) {
		return errors.New("this kind of target takes no marks")
	}
	return marker.Mark(ctx, m.owner, m.cfg.Name, m.revision.ID)
}
