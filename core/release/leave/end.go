package leave

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/core/release/declare"
)

// Work is what the end of a release needs of others.
type Work struct {
	// HandOver has another declaration of the release go on with it, and returns
	// the name of that one; "" if there is none.
	HandOver func() (heir string)
	// Uninstall removes the release, and reports whether there was anything left.
	Uninstall func(ctx context.Context, m release.Removal) (removed bool, err error)
	// Free lets the resource go, for whose release text was done.
	Free   func(ctx context.Context, text string) error
	Logger *slog.Logger
}

// End ends the release of d that the last run left, and says what has become of
// it. After an error, and after the end of ctx, it is to be called again.
func (l *Leaving) End(ctx context.Context, d declare.Declaration, last release.Record, w Work) (text string, err error) {
	text = "it stays installed, where nothing manages it"
	if heir := w.HandOver(); heir != "" {
		text = "its release goes on as " + heir
	} else if !l.Keep {
		if text, err = l.uninstall(ctx, l.removal(d, last), d, w); err != nil {
			return "", err
		}
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
	}
	return text, w.Free(ctx, text)
}

// uninstall removes the release, unless a namespace that goes takes it along
// whatever comes of that.
func (l *Leaving) uninstall(ctx context.Context, m release.Removal, d declare.Declaration, w Work) (text string, err error) {
	removed, err := w.Uninstall(ctx, m)
	if err != nil && l.Dooms(d, m.Ref) && ctx.Err() == nil {
		w.Logger.WarnContext(ctx, "the namespace goes: what is left of the release goes with it", "err", err)
		removed, err = true, nil
	}
	switch {
	case err != nil:
		return "", err
	case !removed:
		return "there was nothing left of it to uninstall", nil
	}
	return fmt.Sprintf("uninstalled %s from %s", m.Ref.Name, m.Ref.Namespace), nil
}
