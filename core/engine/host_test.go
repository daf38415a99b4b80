package engine

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/pluginhost"
)

// TestSchemaOfNoPlugin looks for plugins that are not there: the configuration
// can tell that from plugins that cannot be used.
func TestSchemaOfNoPlugin(t *testing.T) {
	h, err := startHost(hostOptions{
		dirs: []string{t.TempDir()}, dataDir: t.TempDir(), log: slog.New(slog.DiscardHandler),
		plugins: []pluginhost.Declaration{{Name: "broken", Path: t.TempDir()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for typ, missing := range map[string]bool{"helm": true, "broken": false} {
		_, _, err := h.Schema(kindHelm, typ)
		if err == nil || errors.Is(err, config.ErrNoPlugin) != missing {
			t.Errorf("%s: %v, to be ErrNoPlugin: %t", typ, err, missing)
		}
	}
}
