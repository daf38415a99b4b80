// Package cli is sluice's command line. Each command stands in a file of its
// own and has three steps: bind (flags to a struct), run (ask the daemon or the
// engine), view (a table for people, JSON or YAML for programs).
//
// Exit codes are a contract: ExitOK, ExitError, ExitChanges.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// What a command exits with.
const (
	ExitOK      = 0 // done, nothing to tell
	ExitError   = 1 // failed: the reason is on standard error
	ExitChanges = 2 // a plan has changes, or a check found problems
)

// Streams is where a command reads and writes.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

// Main runs the command that args name and returns its exit code. It returns
// soon after ctx ends.
func Main(ctx context.Context, args []string, s Streams) int {
	a := &app{Streams: s}
	root := newRoot(a)
	root.SetArgs(args)
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	err := root.ExecuteContext(ctx)
	var code exitCode
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &code):
		return int(code)
	}
	a.printError(err)
	return ExitError
}

// exitCode is an error that has already been told to the user.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// app is what all commands share: the streams and the global flags.
type app struct {
	Streams
	configPaths []string
	variables   []string
	devPlugins  []string
	pluginDirs  []string
	dataDir     string
	server      string
	output      outputFormat
	namespace   string
	logLevel    string
	noColor     bool

	connectTimeout time.Duration
}

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "sluice",
		Short: "Keep Kubernetes clusters equal to git",
		Long: `Sluice keeps Kubernetes clusters equal to git: it applies what the repositories
say, prunes what left them, and tells why at each step.

Commands that act on a running daemon find it by the configuration's
api { listen } or --server. validate, fmt, plan, apply, manifest and plugin
need no daemon.`,
		SilenceUsage:  true,
		SilenceErrors: true,

		PersistentPreRunE: a.checkOutput,
	}
	f := root.PersistentFlags()
	f.StringArrayVarP(&a.configPaths, "config", "c", []string{"sluice.hcl"}, "configuration: a file or a directory; may be repeated")
	f.StringArrayVar(&a.variables, "var", nil, "set a variable of the configuration, name=value; may be repeated")
	f.StringArrayVar(&a.pluginDirs, "plugin-dir", nil, "where plugins are looked for, before plugin_dir and the directory of sluice; may be repeated")
	f.StringArrayVar(&a.devPlugins, "dev-plugin", nil, "use this binary for a plugin, name=path, unchecked; may be repeated")
	f.StringVar(&a.dataDir, "data-dir", "", "where the daemon keeps its state (default: data_dir of the configuration)")
	f.StringVar(&a.server, "server", os.Getenv("SLUICE_SERVER"), "address of the daemon, unix:///path (default: api of the configuration)")
	f.DurationVar(&a.connectTimeout, "connect-timeout", 0, "how long to wait for a daemon that does not answer yet")
	f.VarP(&a.output, "output", "o", "output format: table, json, yaml; jsonl for manifest render, name for helm list")
	f.StringVarP(&a.namespace, "namespace", "n", "", "namespace of the objects named on the command line")
	f.StringVar(&a.logLevel, "log-level", "", "debug, info, warn or error (default: log_level of the configuration for run, else nothing)")
	f.BoolVar(&a.noColor, "no-color", false, "no colours, even on a terminal")
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json", "yaml", "jsonl", "name"}, cobra.ShellCompDirectiveNoFileComp))
	_ = root.RegisterFlagCompletionFunc("log-level", cobra.FixedCompletions([]string{"debug", "info", "warn", "error"}, cobra.ShellCompDirectiveNoFileComp))
	addCommands(root, a)
	return root
}

// addCommands lists every command under the heading that help shows it with.
func addCommands(root *cobra.Command, a *app) {
	groups := []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{"daemon", "Run and ask the daemon:", []*cobra.Command{newRun(a), newStatus(a), newSync(a), newWhy(a), newEvents(a), newSuspend(a), newResume(a), newApprove(a)}},
		{"images", "Images and registries:", []*cobra.Command{newWorkloads(a), newImages(a), newCredentials(a)}},
		{"helm", "Helm:", []*cobra.Command{newHelm(a)}},
		{"changes", "Change git:", []*cobra.Command{newRelease(a), newAutomate(a), newDeautomate(a), newLock(a), newUnlock(a), newPolicy(a), newJobs(a)}},
		{"offline", "Without a daemon:", []*cobra.Command{newValidate(a), newFmt(a), newPlan(a), newApply(a), newManifest(a), newPlugin(a), newInstall(a)}},
	}
	for _, g := range groups {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, c := range g.commands {
			c.GroupID = g.id
			root.AddCommand(c)
		}
	}
	root.AddCommand(newVersion(a))
}

// group makes cmd the head of commands: alone it shows its help, and a command
// that there is not is an error.
func group(cmd *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(commands...)
	return cmd
}

// hint is an error with what to do about it.
type hint struct {
	error
	do string
}

func (h hint) Unwrap() error { return h.error }

func withHint(err error, format string, args ...any) error {
	return hint{err, fmt.Sprintf(format, args...)}
}

func (a *app) printError(err error) {
	fmt.Fprintf(a.Err, "sluice: %s\n", indented(err.Error()))
	var h hint
	if errors.As(err, &h) {
		fmt.Fprintf(a.Err, "        %s\n", indented(h.do))
	}
}

// indented is visible text whose lines after the first cannot be taken for
// another message.
func indented(text string) string { return indentedBy("        ", text) }

func indentedBy(blanks, text string) string {
	return strings.ReplaceAll(visibleLines(text), "\n", "\n"+blanks)
}

// colour reports whether w is a terminal whose user wants colour
// (https://no-color.org).
func (a *app) colour(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && !a.noColor && os.Getenv("NO_COLOR") == "" && term.IsTerminal(int(f.Fd()))
}

// logger writes to standard error, at the level that the user asked for, else at
// fallback, which may be changed later.
func (a *app) logger(fallback slog.Level) (*slog.Logger, *slog.LevelVar, error) {
	level := &slog.LevelVar{}
	level.Set(fallback)
	if a.logLevel != "" {
		if err := level.UnmarshalText([]byte(a.logLevel)); err != nil {
			return nil, nil, fmt.Errorf("--log-level %q: want debug, info, warn or error", a.logLevel)
		}
	}
	options := &slog.HandlerOptions{Level: level}
	if a.output.machine() {
		return slog.New(slog.NewJSONHandler(a.Err, options)), level, nil
	}
	return slog.New(slog.NewTextHandler(a.Err, options)), level, nil
}

// needs checks how many arguments a command gets: at least least, at most most
// (-1: any number). what names them, as the usage line does.
func needs(what string, least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return withHint(fmt.Errorf("%s: %s is missing", cmd.CommandPath(), what), "usage: %s", cmd.UseLine())
		case most >= 0 && len(args) > most:
			return withHint(fmt.Errorf("%s: too many arguments: %s", cmd.CommandPath(), strings.Join(args[most:], " ")), "usage: %s", cmd.UseLine())
		}
		return nil
	}
}

// pairs splits repeated name=value flags.
func pairs(flag string, values []string) (map[string]string, error) {
	m := make(map[string]string, len(values))
	for _, v := range values {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--%s %q: want name=value", flag, v)
		}
		m[name] = value
	}
	return m, nil
}

// levelSilent is for commands that give their answer, its errors included,
// themselves.
const levelSilent = slog.LevelError + 1
