package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/event"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/sdk/diag"
)

// watchInterval is how often the configuration's files are looked at. A change
// is taken up once they have been the same for two looks, so that half of a
// save is not read.
const watchInterval = time.Second

// Start begins to run the configuration and returns once requests can be
// answered. A configuration with errors is returned as diagnostics (see
// diag.From), and nothing has run. The caller owes the engine a Run or a
// Close, also after an error.
func (e *Engine) Start(ctx context.Context) error {
	if e.Config() == nil {
		e.Load(ctx)
	}
	if err := e.ConfigError(); err != nil {
		return err
	}
	if err := e.start(ctx, true); err != nil {
		return err
	}
	e.publishEvent(event.Event{Reason: eventStarted, Message: "sluice " + e.opts.Version + " has started"})
	return nil
}

// Run is the daemon: it starts the engine, unless Start has, and runs until
// ctx ends, reads the configuration again when a file of it changes or on
// SIGHUP, and then lets what is under way come to its end. It returns nil
// after a clean stop.
func (e *Engine) Run(ctx context.Context) error {
	var err error
	if !e.Alive() {
		err = e.Start(ctx)
	}
	if err == nil {
		e.watchConfig(ctx)
	}
	e.log.InfoContext(ctx, "stopping", "grace", e.opts.Grace)
	grace, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), e.opts.Grace, errStopping)
	defer cancel()
	return errors.Join(err, e.Close(grace))
}

// ConfigError returns what is wrong with the configuration that was read last,
// nil if nothing is.
func (e *Engine) ConfigError() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.problems.Err()
}

// Listen returns the address of the API, which goes with the data directory
// unless the configuration says where it is.
func (e *Engine) Listen() string { return e.listenOf(e.Config().Settings) }

func (e *Engine) listenOf(s config.Settings) string {
	if s.API.Listen == ListenIn(s.DataDir) {
		return ListenIn(e.dataDirOf(s))
	}
	return s.API.Listen
}

// ListenIn returns the address of the API of a daemon with the data directory
// dir.
func ListenIn(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return "unix://" + filepath.Join(dir, "api.sock")
}

// Reload reads the configuration again. One with errors changes nothing: what
// runs goes on, and the status says what is wrong.
func (e *Engine) Reload(ctx context.Context) (ConfigStatus, error) {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	c, diags := e.readConfig(ctx)
	if !diags.HasErrors() {
		diags = append(diags, e.checkFixed(c)...)
	}
	e.mu.Lock()
	if !e.alive {
		e.mu.Unlock()
		return ConfigStatus{}, errors.Join(refusal.Conflict("%v", errStopping), diags.Err())
	}
	e.noteLoad(diags)
	if !diags.HasErrors() {
		e.read = c
	}
	unused := c.host != e.running.host
	e.mu.Unlock()
	if diags.HasErrors() {
		if unused {
			diags = append(diags, closeHost(ctx, c.host)...)
		}
		e.tellRefused(ctx, diags)
		return e.ConfigStatus(), nil
	}
	// Half of an adoption is worse than a late one: who asked may be gone.
	adopting, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), e.opts.Grace, errors.New("the jobs of the old configuration do not end"))
	defer cancel()
	ids, err := e.adopt(adopting, c)
	if err != nil {
		return ConfigStatus{}, err
	}
	e.publishEvent(eventOf("", eventReloaded, "the configuration was read again"))
	e.log.InfoContext(ctx, "the configuration was read again")
	for _, d := range onlyWarnings(diags) {
		e.log.WarnContext(ctx, d.Error())
	}
	e.runNow(ids)
	return e.ConfigStatus(), nil
}

func (e *Engine) tellRefused(ctx context.Context, diags diag.List) {
	text := "the configuration has errors, the last good one runs on: " + words.OneLine(diags.Err())
	e.publishEvent(eventOf("", eventBadConfig, text))
	e.log.ErrorContext(ctx, text)
}

// checkFixed reports changes that only a restart can take up: an error where
// going on would be wrong, else a warning.
func (e *Engine) checkFixed(c *candidate) diag.List {
	if dir := e.dataDirOf(c.cfg.Settings); dir != e.dataDir && c.cfg.Settings.DataDir != "" {
		return diag.List{{
			Severity: diag.Error, Summary: "data_dir cannot change while the daemon runs",
			Detail: fmt.Sprintf("It runs with %s, the configuration says %s. Restart it.", e.dataDir, dir),
		}}
	}
	if listen := e.listenOf(c.cfg.Settings); e.listening != listen {
		return diag.List{{
			Severity: diag.Warning, Summary: "The new address of the API is taken up by a restart only",
			Detail: fmt.Sprintf("It listens on %s, the configuration says %s. Until it is restarted, commands need --server %s.", e.listening, listen, e.listening),
		}}
	}
	return nil
}

// watchConfig reloads on SIGHUP and on changes of files until ctx ends.
func (e *Engine) watchConfig(ctx context.Context) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	taken := e.look()
	for seen := taken; ; {
		select {
		case <-ctx.Done():
			return
		case <-hup:
		case <-tick.C:
			before := seen
			if seen = e.look(); seen == taken || seen != before {
				continue
			}
		}
		taken = e.look()
		if _, err := e.Reload(ctx); err != nil && ctx.Err() == nil {
			e.log.ErrorContext(ctx, "reload", "err", err)
		}
		if after := e.look(); after != taken && pathsOnly(after) != pathsOnly(taken) {
			taken = after // other files are read now
		}
		seen = taken
	}
}

// look sums up what the files of the configuration look like: enough to see a
// save, an atomic replacement, and a link that points elsewhere.
func (e *Engine) look() string {
	e.mu.Lock()
	paths := e.opts.ConfigPaths
	if e.running != nil {
		paths = append(append([]string{}, paths...), e.running.cfg.Paths()...)
	}
	e.mu.Unlock()
	var b strings.Builder
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			fmt.Fprintf(&b, "%s\t-\n", p)
			continue
		}
		real, _ := filepath.EvalSymlinks(p) // "" is as good a sign of change
		fmt.Fprintf(&b, "%s\t%s %d %d\n", p, real, info.Size(), info.ModTime().UnixNano())
	}
	return b.String()
}

func pathsOnly(look string) string {
	var b strings.Builder
	for line := range strings.Lines(look) {
		p, _, _ := strings.Cut(line, "\t")
		b.WriteString(p + "\n")
	}
	return b.String()
}
