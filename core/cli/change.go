package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// changeFlags are what all commands share that have git changed.
type changeFlags struct {
	workloads []string
	message   string
	user      string
	verbosity int
	timeout   time.Duration
	dryRun    bool
}

// bind adds the flags. short is the letter for --workload, if it has one.
func (f *changeFlags) bind(a *app, cmd *cobra.Command, short string) {
	cmd.Flags().StringSliceVarP(&f.workloads, "workload", short, nil, "a workload, the same as an argument; may be repeated")
	cmd.Flags().StringSliceVar(&f.workloads, "controller", nil, "the same as --workload")
	cmd.Flags().Lookup("controller").Hidden = true // what fluxctl called it once
	cmd.Flags().StringVarP(&f.message, "message", "m", "", "message of the commit (default: what it does)")
	cmd.Flags().StringVar(&f.user, "user", "", `who does it, "Name <mail>" (default: user.name and user.email of git's configuration)`)
	cmd.Flags().CountVarP(&f.verbosity, "verbose", "v", "also show what is skipped; -vv: and what is ignored")
	cmd.Flags().DurationVar(&f.timeout, "timeout", time.Minute, "how long to wait for each step; what goes on longer is not lost")
	_ = cmd.RegisterFlagCompletionFunc("workload", a.completeWorkloads)
}

func (f *changeFlags) check() error {
	if f.timeout <= 0 {
		return withHint(fmt.Errorf("--timeout %s: want some time, such as 2m", f.timeout), "`sluice jobs` shows what goes on")
	}
	if strings.ContainsAny(f.user, "\r\n") {
		return fmt.Errorf("--user %q: want one line", f.user)
	}
	for _, w := range f.workloads {
		if strings.TrimSpace(w) == "" {
			return errors.New("the name of a workload is empty")
		}
	}
	return nil
}

// by is who is told to have done it.
func (f *changeFlags) by(ctx context.Context) string {
	return cmp.Or(f.user, gitUser(ctx), whoami())
}

// gitUser is who makes commits here, "Name <mail>", empty if git does not know.
func gitUser(ctx context.Context) string {
	value := func(key string) string {
		out, err := exec.CommandContext(ctx, "git", "config", "--get", key).Output()
		if err != nil {
			return "" // no git here, or it is not set
		}
		return strings.TrimSpace(string(out))
	}
	name, mail := value("user.name"), value("user.email")
	if mail != "" {
		return strings.TrimSpace(name + " <" + mail + ">")
	}
	return name
}
