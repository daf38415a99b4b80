package cli_test

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sluice-gitops/sluice/core/cli"
)

var rewrite = flag.Bool("update", false, "rewrite the golden output in the scripts")

// TestMain makes the test binary the commands that the scripts run: sluice
// itself, and two real plugins that need neither git nor a cluster.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"sluice": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			os.Exit(cli.Main(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
		},
		"sluice-plugin-dir":    dirPlugin,
		"sluice-plugin-folder": folderPlugin,
		"shop":                 shopMain,
	})
}

// TestScripts runs testdata/script/*.txtar. Each gets the directory of the
// plugins as $PLUGINS.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *rewrite,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			// The commands stand in the first directory of PATH.
			plugins := filepath.SplitList(e.Getenv("PATH"))[0]
			e.Setenv("PLUGINS", plugins)
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_CACHE_HOME", filepath.Join(e.WorkDir, ".cache"))
			e.Setenv("NO_COLOR", "1")
			return nil
		},
		Condition: nil,
	})
}
