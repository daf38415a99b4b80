package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"time"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/api"
	"github.com/sluice-gitops/sluice/core/engine"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// closeTimeout bounds how long an interrupted command waits for its plugins.
const closeTimeout = 30 * time.Second

// engineOptions collects the global flags. level is the log level where the
// user asks for none.
func (a *app) engineOptions(level slog.Level) (engine.Options, error) {
	logger, _, err := a.logger(level)
	if err != nil {
		return engine.Options{}, err
	}
	variables, err := pairs("var", a.variables)
	if err != nil {
		return engine.Options{}, err
	}
	dev, err := pairs("dev-plugin", a.devPlugins)
	return engine.Options{
		ConfigPaths: a.configPaths,
		Variables:   variables,
		Env:         os.LookupEnv,
		DataDir:     a.dataDir,
		PluginDirs:  a.pluginDirs,
		DevPlugins:  dev,
		Version:     buildVersion(),
		Logger:      logger,
	}, err
}

func (a *app) engine(level slog.Level) (*engine.Engine, error) {
	o, err := a.engineOptions(level)
	if err != nil {
		return nil, err
	}
	return engine.New(o)
}

// withEngine runs f on a loaded engine and closes it, also when ctx has ended.
func (a *app) withEngine(ctx context.Context, f func(*engine.Engine) error) error {
	e, err := a.engine(levelSilent)
	if err != nil {
		return err
	}
	for _, dev := range a.devPlugins {
		fmt.Fprintf(a.Err, "warning: --dev-plugin %s: this binary is not verified\n", dev)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		if err := e.Close(closing); err != nil {
			fmt.Fprintln(a.Err, "sluice: closing:", err)
		}
	}()
	diags := e.Load(ctx)
	a.renderDiagnostics(a.Err, diags, e.Config())
	if diags.HasErrors() {
		return exitCode(ExitError)
	}
	return f(e)
}

// renderDiagnostics prints problems with the lines of the files they are in.
func (a *app) renderDiagnostics(w io.Writer, diags diag.List, c *config.Config) {
	var files map[string][]byte
	if c != nil {
		files = c.Files
	}
	config.Render(w, diags, files, a.colour(w))
}

// client finds the daemon and, with --connect-timeout, waits until it answers.
func (a *app) client(ctx context.Context) (*api.Client, error) {
	listen, err := a.listen()
	if err != nil {
		return nil, err
	}
	client, err := api.NewClient(listen)
	if err != nil || a.connectTimeout == 0 {
		return client, err
	}
	return client, a.awaitDaemon(ctx, client)
}

// awaitDaemon polls, because a socket that is not there yet has no event.
func (a *app) awaitDaemon(ctx context.Context, client *api.Client) error {
	ctx, cancel := context.WithTimeout(ctx, a.connectTimeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := client.Version(ctx)
		if !errors.Is(err, api.ErrUnreachable) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// listen is where the daemon listens: --server, else what the configuration
// says.
func (a *app) listen() (string, error) {
	if a.server != "" {
		return a.server, nil
	}
	if a.dataDir != "" {
		return engine.ListenIn(a.dataDir), nil
	}
	variables, err := pairs("var", a.variables)
	if err != nil {
		return "", err
	}
	// Without schemas: only the settings are wanted, and they are there also
	// when the rest is broken, which is when people ask.
	c, diags := config.Load(a.configPaths, config.Options{Variables: variables, Env: os.LookupEnv})
	if diags.HasErrors() {
		what := "the configuration has errors, `sluice validate` shows them"
		if missing := absent(a.configPaths); missing != "" {
			what = "there is no " + missing
		}
		fmt.Fprintf(a.Err, "note: %s; asking the daemon at %s\n", what, c.Settings.API.Listen)
	}
	return c.Settings.API.Listen, nil
}

// absent returns the first path that does not exist, "" if all do.
func absent(paths []string) string {
	for _, path := range paths {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return path
		}
	}
	return ""
}

// whoami is recorded with what a person does.
func whoami() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}
