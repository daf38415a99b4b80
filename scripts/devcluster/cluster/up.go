package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/scripts/devcluster/process"
	"github.com/sluice-gitops/sluice/scripts/devcluster/programs"
)

const (
	// DefaultNodes is the number of fake nodes of a new cluster.
	DefaultNodes = 3
	// MaxNodes is as many as there are address ranges for pods.
	MaxNodes = 90

	// startTimeout bounds each wait of a start. A machine that is busy with
	// builds and tests takes many times the usual few seconds.
	startTimeout = 2 * time.Minute
	pollInterval = 50 * time.Millisecond
)

// Up makes the cluster when there is none, starts what does not run of it, and
// returns when it is fit for use: the API server is ready, the default namespace
// has its service account, and the nodes are ready. nodes is the least number of
// fake nodes; 0 leaves it at what the cluster has, or DefaultNodes. On an error
// what this call has started is stopped again; data and logs stay.
func (c *Clusters) Up(ctx context.Context, name string, set programs.Set, nodes int) (*Status, error) {
	if nodes < 0 || nodes > MaxNodes {
		return nil, fmt.Errorf("%d nodes: there can be 1 to %d", nodes, MaxNodes)
	}
	cl, err := c.acquire(ctx, name)
	if err != nil {
		return nil, err
	}
	defer cl.lock.Release()
	if cl.state, err = readState(cl.dir); errors.Is(err, fs.ErrNotExist) {
		cl.Nodes, err = DefaultNodes, c.create(ctx, cl, name)
	}
	if err != nil {
		return nil, fmt.Errorf("cluster %q: %w", name, err)
	}
	cl.Nodes = max(cl.Nodes, nodes)
	if err := c.movePorts(ctx, cl); err != nil {
		return nil, fmt.Errorf("cluster %q: %w", name, err)
	}
	if err := cl.start(ctx, Components(), set); err != nil {
		return nil, fmt.Errorf("cluster %q: %w", name, err)
	}
	return cl.status(ctx, cl.dir), nil
}

// Start starts one component, or all when component is empty, with the ports
// and data that it had, and waits until it works.
func (c *Clusters) Start(ctx context.Context, name, component string, set programs.Set) error {
	start, err := selection(component)
	if err != nil {
		return err
	}
	cl, err := c.open(ctx, name)
	if err != nil {
		return err
	}
	defer cl.lock.Release()
	if err := cl.start(ctx, start, set); err != nil {
		return fmt.Errorf("cluster %q: %w", name, err)
	}
	return nil
}

// movePorts gives a stopped cluster new ports when another program has taken
// one of them in the meantime.
func (c *Clusters) movePorts(ctx context.Context, cl *cluster) error {
	var conflict error
	if !cl.Processes[Etcd].Alive() {
		conflict = errors.Join(listens(cl.Ports.EtcdClient), listens(cl.Ports.EtcdPeer))
	}
	if !cl.Processes[APIServer].Alive() {
		conflict = errors.Join(conflict, listens(cl.Ports.APIServer))
	}
	if conflict == nil {
		return nil
	}
	cl.note(fmt.Sprintf("cluster %s moves to other ports: %v", cl.Name, conflict))
	if err := cl.stop(ctx, Components(), stopGrace); err != nil {
		return err
	}
	return c.assignPorts(ctx, cl)
}

// start starts those of the components that do not run, waits until each works
// and, when all were asked for, until the cluster does. What it has started it
// stops again when that fails.
func (cl *cluster) start(ctx context.Context, components []string, set programs.Set) error {
	var started []string
	for {
		err := cl.startMissing(ctx, components, set, &started)
		if err == nil {
			return nil
		}
		if ended, ok := errors.AsType[*endedError](err); ok && !slices.Contains(started, ended.component) {
			continue // It was found running while it was about to end.
		}
		// The reason to give up may be that ctx ended.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		return errors.Join(err, cl.stop(ctx, started, stopGrace))
	}
}

func (cl *cluster) startMissing(ctx context.Context, components []string, set programs.Set, started *[]string) error {
	for _, component := range components {
		if cl.Processes[component].Alive() {
			continue
		}
		if err := cl.launch(component, set); err != nil {
			return fmt.Errorf("start %s: %w", component, err)
		}
		*started = append(*started, component)
		if err := cl.awaitComponent(ctx, component); err != nil {
			return err
		}
	}
	if len(components) < len(Components()) {
		return nil
	}
	return cl.awaitCluster(ctx)
}

// launch starts one component and stores its process before it runs.
func (cl *cluster) launch(component string, set programs.Set) error {
	path, err := set.Path(component)
	if err != nil {
		return err
	}
	cl.Programs = set.Key
	return process.Start(process.Command{
		Path: path,
		Args: arguments(component, cl.layout, cl.Ports, set.Stages()),
		Dir:  cl.dir,
		// Only this: kwok would read ~/.kwok, and others a KUBECONFIG or a proxy.
		Env: []string{"HOME=" + cl.dir, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()},
		Log: cl.log(component),
	}, func(id process.Identity) error {
		cl.Processes[component] = id
		return cl.write(cl.dir)
	})
}

// awaitComponent waits until a component that was just started works. Those
// that serve nothing are taken to work unless they end.
func (cl *cluster) awaitComponent(ctx context.Context, component string) error {
	self := []string{component}
	switch component {
	case Etcd:
		return cl.await(ctx, self, "etcd is not ready", func(ctx context.Context, _ *client) error {
			return etcdHealth(ctx, cl.Ports)
		})
	case APIServer:
		return cl.await(ctx, self, "the API server is not ready", func(ctx context.Context, api *client) error {
			return api.get(ctx, "/readyz", nil)
		})
	}
	return cl.ended(self)
}

// awaitCluster waits until the controllers have done what every user of a
// cluster takes for granted.
func (cl *cluster) awaitCluster(ctx context.Context) error {
	steps := []struct {
		what  string
		check func(context.Context, *client) error
	}{
		{"the API server is not ready", func(ctx context.Context, api *client) error {
			return api.get(ctx, "/readyz", nil)
		}},
		{"the nodes cannot be created", func(ctx context.Context, api *client) error {
			return api.createNodes(ctx, cl.Nodes)
		}},
		{"the nodes are not ready", func(ctx context.Context, api *client) error {
			return api.nodesReady(ctx, cl.Nodes)
		}},
		{"the default namespace is not ready", func(ctx context.Context, api *client) error {
			return api.get(ctx, "/api/v1/namespaces/default/serviceaccounts/default", nil)
		}},
	}
	for _, step := range steps {
		if err := cl.await(ctx, Components(), step.what, step.check); err != nil {
			return err
		}
	}
	return cl.ended(Components())
}

// await calls check until it returns nil. It gives up when one of components
// has ended, and after startTimeout with what check returned last.
func (cl *cluster) await(ctx context.Context, components []string, what string, check func(context.Context, *client) error) error {
	api, err := newClient(cl.layout, cl.Ports)
	if err != nil {
		return err
	}
	defer api.close()
	timeout := time.After(startTimeout)
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		last := check(ctx, api)
		if last == nil {
			return nil
		}
		if err := cl.ended(components); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timeout:
			return fmt.Errorf("%s after %s: %w\nlogs are in %s", what, startTimeout, last, cl.file("logs"))
		case <-ticker.C:
		}
	}
}

// ended returns an error for the first of components that does not run.
func (cl *cluster) ended(components []string) error {
	for _, component := range components {
		if !cl.Processes[component].Alive() {
			return &endedError{component, cl.log(component)}
		}
	}
	return nil
}

// endedError says that a component that should run has ended, and why, as far
// as its log tells.
type endedError struct {
	component, log string
}

func (e *endedError) Error() string {
	return fmt.Sprintf("%s ended; the end of %s:\n%s", e.component, e.log, tail(e.log))
}

// tail returns the last lines of a log, indented.
func tail(path string) string {
	const lines, length = 15, 16 << 10
	data, err := readEnd(path, length)
	if err != nil {
		return "  " + err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(data)), "\n")
	return "  " + strings.Join(all[max(0, len(all)-lines):], "\n  ")
}

// readEnd reads up to the last n bytes of a file.
func readEnd(path string, n int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // It was only read.
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(file, max(0, info.Size()-n), n))
}
