package cli_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
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
// plugins as $PLUGINS, and the URL of a registry, which all share, as $REGISTRY:
// `push NAME:TAG...` fills it.
func TestScripts(t *testing.T) {
	hub := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(hub.Close)
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
			e.Setenv("REGISTRY", hub.URL)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"push": func(ts *testscript.TestScript, _ bool, args []string) {
				for _, image := range args {
					ts.Check(push(t.Context(), hub.URL, image))
				}
			},
			"wait-for": waitFor,
		},
	})
}

// waitFor runs a command until what it prints has a text:
// `wait-for 30s COMMAND... -- TEXT`. It is for what has no end to wait for.
func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	limit, err := time.ParseDuration(args[0])
	ts.Check(err)
	n := len(args)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); time.Now().Before(end); <-tick.C {
		if ts.Exec(args[1], args[2:n-2]...) == nil && strings.Contains(ts.ReadFile("stdout"), args[n-1]) {
			return
		}
	}
	ts.Fatalf("not within %s: %s", limit, args[n-1])
}

// push stores a small image, NAME:TAG, in the registry of host, that is newer than
// those before. It has no layers there: nobody runs it.
func push(ctx context.Context, host, image string) error {
	name, tag, _ := strings.Cut(image, ":")
	img, err := random.Image(16, 1)
	if err != nil {
		return err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	config.OS, config.Architecture, config.Created = "linux", "amd64", v1.Time{Time: time.Now()}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		return err
	}
	digest, err := img.ConfigName()
	if err != nil {
		return err
	}
	content, err := img.RawConfigFile()
	if err != nil {
		return err
	}
	if err := send(ctx, http.MethodPost, fmt.Sprintf("%s/v2/%s/blobs/uploads/?digest=%s", host, name, digest), "", content); err != nil {
		return err
	}
	manifest, err := img.RawManifest()
	if err != nil {
		return err
	}
	media, err := img.MediaType()
	if err != nil {
		return err
	}
	return send(ctx, http.MethodPut, fmt.Sprintf("%s/v2/%s/manifests/%s", host, name, tag), string(media), manifest)
}

func send(ctx context.Context, method, url, media string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", media)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("%s %s: %s", method, url, resp.Status)
	}
	return nil
}
