// Package cli is the command line of devcluster: it reads arguments, calls the
// packages that do the work, and prints. Results go to stdout, progress and
// errors to stderr.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/sluice-gitops/sluice/scripts/devcluster/cluster"
	"github.com/sluice-gitops/sluice/scripts/devcluster/programs"
)

// Exit codes.
const (
	ExitOK         = 0
	ExitFailed     = 1
	ExitUsage      = 2
	ExitNotRunning = 3 // of status: the cluster does not run, or not all of it
)

// Options are what a run of the command depends on.
type Options struct {
	Args             []string // without the command's name
	Stdout, Stderr   io.Writer
	ModFile, SumFile []byte // go.mod and go.sum that pin the programs
	// Dir holds programs and clusters. Empty means sluice/devcluster in the
	// user's cache directory.
	Dir string
}

// command is one subcommand.
type command struct {
	name, args, help string
	minArgs, maxArgs int
	flags            func(*flag.FlagSet, *settings) // nil for none
	run              func(context.Context, *app, []string) error
}

// settings are the values of the flags of all subcommands.
type settings struct {
	nodes  int
	kill   bool
	output string
}

// app is what a subcommand works with.
type app struct {
	Options
	settings
	source   *programs.Source
	clusters *cluster.Clusters
}

// usageError is a mistake in the arguments.
type usageError struct{ error }

// errNotRunning ends status with ExitNotRunning; what there is to say was printed.
var errNotRunning = errors.New("not running")

// Run executes the command line and returns the exit code.
func Run(ctx context.Context, o Options) int {
	err := dispatch(ctx, o)
	var usage usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return ExitOK
	case errors.Is(err, errNotRunning):
		return ExitNotRunning
	case errors.As(err, &usage):
		_, _ = fmt.Fprintf(o.Stderr, "devcluster: %v\n", err)
		return ExitUsage
	case ctx.Err() != nil:
		err = fmt.Errorf("interrupted: %w", err)
	}
	_, _ = fmt.Fprintf(o.Stderr, "devcluster: %v\n", err)
	return ExitFailed
}

func dispatch(ctx context.Context, o Options) error {
	if len(o.Args) == 0 {
		return usageError{errors.New("which command?\n\n" + usage())}
	}
	name, args := o.Args[0], o.Args[1:]
	if name == "help" || name == "-h" || name == "--help" {
		_, err := io.WriteString(o.Stdout, usage())
		return err
	}
	for _, c := range commands() {
		if c.name == name {
			return c.execute(ctx, o, args)
		}
	}
	return usageError{fmt.Errorf("no command %q\n\n%s", name, usage())}
}

func (c command) execute(ctx context.Context, o Options, args []string) error {
	a := &app{Options: o}
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	if c.flags != nil {
		c.flags(flags, &a.settings)
	}
	positional, err := parse(flags, args)
	if errors.Is(err, flag.ErrHelp) {
		c.printHelp(o.Stdout, flags)
		return err
	}
	if err == nil && (len(positional) < c.minArgs || len(positional) > c.maxArgs) {
		err = fmt.Errorf("usage: devcluster %s %s", c.name, c.args)
	}
	if err != nil {
		return usageError{fmt.Errorf("%s: %w", c.name, err)}
	}
	if err := a.open(); err != nil {
		return err
	}
	return c.run(ctx, a, positional)
}

// parse accepts flags before, between and after the other arguments.
func parse(flags *flag.FlagSet, args []string) (positional []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return positional, nil
		}
		positional = append(positional, flags.Arg(0))
		args = flags.Args()[1:]
	}
}

func (a *app) open() error {
	if a.Dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("where to keep programs and clusters: %w", err)
		}
		a.Dir = filepath.Join(cache, "sluice", "devcluster")
	}
	var err error
	a.source, err = programs.NewSource(a.ModFile, a.SumFile)
	a.clusters = cluster.New(filepath.Join(a.Dir, "clusters"), a.note)
	return err
}

// note tells a person what goes on. Nothing depends on its being read.
func (a *app) note(text string) { _, _ = fmt.Fprintln(a.Stderr, text) }

func (a *app) programs(ctx context.Context) (programs.Set, error) {
	return programs.Ensure(ctx, a.source, a.Dir, programs.NewProgress(a.Stderr))
}

func (c command) printHelp(out io.Writer, flags *flag.FlagSet) {
	_, _ = fmt.Fprintf(out, "%s\n\nusage: devcluster %s %s\n", c.help, c.name, c.args)
	flags.SetOutput(out)
	flags.PrintDefaults()
}

func usage() string {
	var b strings.Builder
	b.WriteString("devcluster runs Kubernetes control planes on this machine for development and tests.\n\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-34s %s\n", "devcluster "+c.name+" "+c.args, c.help)
	}
	b.WriteString("\n`devcluster COMMAND -h` lists the flags of a command.\n")
	return b.String()
}
