package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/scripts/devcluster/cluster"
	"github.com/sluice-gitops/sluice/scripts/devcluster/programs"
)

func commands() []command {
	return []command{
		{name: "up", args: "NAME", help: "make a cluster, or start what does not run of it", minArgs: 1, maxArgs: 1, flags: nodesFlag, run: up},
		{name: "down", args: "NAME", help: "end a cluster and remove its data", minArgs: 1, maxArgs: 1, run: down},
		{name: "status", args: "NAME", help: "show the state of a cluster; exit 3 unless all of it runs", minArgs: 1, maxArgs: 1, flags: outputFlag, run: status},
		{name: "list", help: "show all clusters", flags: outputFlag, run: list},
		{name: "kubeconfig", args: "NAME", help: "print the path of a cluster's kubeconfig", minArgs: 1, maxArgs: 1, run: kubeconfig},
		{name: "audit", args: "NAME", help: "print the path of the API server's audit log", minArgs: 1, maxArgs: 1, run: audit},
		{name: "stop", args: "NAME [COMPONENT]", help: "stop a cluster, or a component, and keep its data", minArgs: 1, maxArgs: 2, flags: killFlag, run: stop},
		{name: "start", args: "NAME [COMPONENT]", help: "start it again with the same ports and data", minArgs: 1, maxArgs: 2, run: start},
		{name: "build", help: "only build the programs", run: build},
		{name: "path", args: "PROGRAM", help: "print the path of a program: " + strings.Join(programs.Names(), ", "), minArgs: 1, maxArgs: 1, run: path},
	}
}

func nodesFlag(flags *flag.FlagSet, s *settings) {
	flags.IntVar(&s.nodes, "nodes", 0, fmt.Sprintf("least number of fake nodes (default %d for a new cluster)", cluster.DefaultNodes))
}

func killFlag(flags *flag.FlagSet, s *settings) {
	flags.BoolVar(&s.kill, "kill", false, "give the processes no time to end in order (SIGKILL)")
}

func outputFlag(flags *flag.FlagSet, s *settings) {
	flags.Func("o", "output `format`: text or json (default text)", func(value string) error {
		if value != "text" && value != "json" {
			return errors.New("want text or json")
		}
		s.output = value
		return nil
	})
}

func up(ctx context.Context, a *app, args []string) error {
	// Before the build, which takes minutes.
	if err := cluster.ValidateName(args[0]); err != nil {
		return usageError{err}
	}
	set, err := a.programs(ctx)
	if err != nil {
		return err
	}
	begin := time.Now()
	s, err := a.clusters.Up(ctx, args[0], set, a.nodes)
	if err != nil {
		return err
	}
	return a.printf("cluster %s is up at %s after %.1fs\nexport KUBECONFIG=%s\n",
		s.Name, s.Server, time.Since(begin).Seconds(), s.Kubeconfig)
}

func down(ctx context.Context, a *app, args []string) error {
	existed, err := a.clusters.Down(ctx, args[0])
	if err != nil {
		return err
	}
	if !existed {
		return a.printf("there is no cluster %s\n", args[0])
	}
	return a.printf("cluster %s is down\n", args[0])
}

func stop(ctx context.Context, a *app, args []string) error {
	return a.clusters.Stop(ctx, args[0], component(args), a.kill)
}

func start(ctx context.Context, a *app, args []string) error {
	set, err := a.programs(ctx)
	if err != nil {
		return err
	}
	return a.clusters.Start(ctx, args[0], component(args), set)
}

// component returns the optional second argument.
func component(args []string) string {
	if len(args) < 2 {
		return ""
	}
	return args[1]
}

func status(ctx context.Context, a *app, args []string) error {
	s, err := a.clusters.Status(ctx, args[0])
	if err != nil {
		return err
	}
	if err := a.printStatus(s); err != nil {
		return err
	}
	if s.State != cluster.Running {
		return errNotRunning
	}
	return nil
}

func list(ctx context.Context, a *app, _ []string) error {
	all, err := a.clusters.List(ctx)
	return errors.Join(a.printList(all), err)
}

func kubeconfig(ctx context.Context, a *app, args []string) error {
	s, err := a.clusters.Status(ctx, args[0])
	if err != nil {
		return err
	}
	return a.printf("%s\n", s.Kubeconfig)
}

func audit(ctx context.Context, a *app, args []string) error {
	s, err := a.clusters.Status(ctx, args[0])
	if err != nil {
		return err
	}
	return a.printf("%s\n", s.Audit)
}

func build(ctx context.Context, a *app, _ []string) error {
	_, err := a.programs(ctx)
	return err
}

func path(ctx context.Context, a *app, args []string) error {
	set, err := a.programs(ctx)
	if err != nil {
		return err
	}
	path, err := set.Path(args[0])
	if err != nil {
		return err
	}
	return a.printf("%s\n", path)
}
