// Package cluster runs Kubernetes control planes on this machine: etcd, the API
// server, the controller manager, the scheduler, and kwok, which plays the nodes
// and lets every pod that is scheduled to one become ready at once.
//
// A cluster is a name and a directory. Its processes outlive the command that
// started them, so each function here reads what is, does its work under the
// lock of the cluster, and leaves a state from which the next one goes on, also
// when it is killed halfway.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/scripts/devcluster/filelock"
	"github.com/sluice-gitops/sluice/scripts/devcluster/process"
)

// ErrNotExist is in the error of every function that wants an existing cluster.
var ErrNotExist = errors.New("no such cluster")

// stopGrace is how long a component has to end by itself. The API server waits
// for requests that are under way.
const stopGrace = 15 * time.Second

// rollbackTimeout bounds the stopping of what a failed start has started.
const rollbackTimeout = 30 * time.Second

var validName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$`)

// ValidateName returns why name cannot name a cluster, or nil when it can.
func ValidateName(name string) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("cluster name %q: use 1 to 40 lower-case letters, digits and inner hyphens", name)
	}
	return nil
}

// Clusters are the clusters below one directory. Any number of processes may
// work on the same directory at once.
type Clusters struct {
	root string
	note func(string)
}

// New returns the clusters below the directory root, which is made when the
// first cluster is. note gets a line for a person about what takes its time.
func New(root string, note func(string)) *Clusters {
	return &Clusters{root: root, note: note}
}

// cluster is one cluster while its lock is held.
type cluster struct {
	layout
	*state
	note func(string)
	lock *filelock.Lock
}

func (c *Clusters) dir(name string) string { return filepath.Join(c.root, name) }

// acquire takes the lock of the cluster; its state is still to be read or made.
func (c *Clusters) acquire(ctx context.Context, name string) (*cluster, error) {
	if err := ValidateName(name); err != nil {
		return nil, err
	}
	lock, err := filelock.Acquire(ctx, filepath.Join(c.root, name+".lock"), func() {
		c.note("waiting for another devcluster that works on cluster " + name)
	})
	if err != nil {
		return nil, err
	}
	return &cluster{layout: layout{c.dir(name)}, note: c.note, lock: lock}, nil
}

// open takes the lock of a cluster that exists and reads its state.
func (c *Clusters) open(ctx context.Context, name string) (*cluster, error) {
	cl, err := c.acquire(ctx, name)
	if err != nil {
		return nil, err
	}
	if cl.state, err = c.read(name); err != nil {
		cl.lock.Release()
		return nil, err
	}
	return cl, nil
}

// read returns the state of a cluster, without its lock.
func (c *Clusters) read(name string) (*state, error) {
	if err := ValidateName(name); err != nil {
		return nil, err
	}
	s, err := readState(c.dir(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cluster %q: %w: make it with `devcluster up %s`", name, ErrNotExist, name)
	}
	if err != nil {
		return nil, fmt.Errorf("cluster %q: %w", name, err)
	}
	return s, nil
}

// create makes the files of a new cluster. What an interrupted create left is
// removed: it has no processes, since it has no state.
func (c *Clusters) create(ctx context.Context, cl *cluster, name string) error {
	if err := os.RemoveAll(cl.dir); err != nil {
		return err
	}
	for _, dir := range []string{cl.dir, cl.pki(""), cl.file("logs"), cl.file("audit")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	if err := errors.Join(writePKI(cl.pki("")), writeAccess(cl.dir)); err != nil {
		return err
	}
	cl.state = &state{Name: name, Created: time.Now().UTC(), Processes: map[string]process.Identity{}}
	return c.assignPorts(ctx, cl)
}

// assignPorts gives the cluster ports that no other cluster has, running or
// not, and stores them and the kubeconfigs that name them.
func (c *Clusters) assignPorts(ctx context.Context, cl *cluster) error {
	lock, err := filelock.Acquire(ctx, filepath.Join(c.root, ".ports.lock"), nil)
	if err != nil {
		return err
	}
	defer lock.Release()
	others, err := names(c.root)
	if err != nil {
		return err
	}
	taken := map[int]bool{}
	for _, name := range others {
		// A cluster that cannot be read cannot be started either.
		if other, err := readState(c.dir(name)); err == nil {
			for _, port := range other.Ports.all() {
				taken[*port] = true
			}
		}
	}
	if cl.Ports, err = choosePorts(taken); err != nil {
		return err
	}
	if err := writeKubeconfigs(cl.dir, cl.Name, localURL("https", cl.Ports.APIServer)); err != nil {
		return err
	}
	return cl.write(cl.dir)
}

// Stop stops one component, or all when component is empty, and keeps the data.
// With kill it gives them no time to end in order. What is stopped already is
// no error.
func (c *Clusters) Stop(ctx context.Context, name, component string, kill bool) error {
	stop, err := selection(component)
	if err != nil {
		return err
	}
	cl, err := c.open(ctx, name)
	if err != nil {
		return err
	}
	defer cl.lock.Release()
	grace := stopGrace
	if kill {
		grace = 0
	}
	return cl.stop(ctx, stop, grace)
}

// Down ends every process of the cluster and removes its directory. A cluster
// that does not exist is no error; existed says whether it did.
func (c *Clusters) Down(ctx context.Context, name string) (existed bool, err error) {
	cl, err := c.acquire(ctx, name)
	if err != nil {
		return false, err
	}
	defer cl.lock.Release()
	cl.state, err = readState(cl.dir)
	switch {
	case err == nil:
		// The data goes as well: nothing needs time to be brought in order.
		if err := cl.stop(ctx, Components(), 0); err != nil {
			return true, err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return true, fmt.Errorf("%w: it tells which processes to end; end them by hand and remove %s", err, cl.dir)
	}
	// First what makes it a cluster: what is left of an interrupted removal is nothing.
	if err := os.Remove(cl.file(stateFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return true, err
	}
	return cl.state != nil, errors.Join(os.RemoveAll(cl.dir), cl.lock.Remove())
}

// selection returns the components that a command is about.
func selection(component string) ([]string, error) {
	if component == "" {
		return Components(), nil
	}
	if !slices.Contains(Components(), component) {
		return nil, fmt.Errorf("no component %q: there are %s", component, strings.Join(Components(), ", "))
	}
	return []string{component}, nil
}

// stop stops the components in the reverse order of their start.
func (cl *cluster) stop(ctx context.Context, components []string, grace time.Duration) error {
	for _, component := range slices.Backward(components) {
		id, ok := cl.Processes[component]
		if !ok {
			continue
		}
		if err := id.Stop(ctx, grace); err != nil {
			return fmt.Errorf("stop %s: %w", component, err)
		}
		delete(cl.Processes, component)
		if err := cl.write(cl.dir); err != nil {
			return err
		}
	}
	return nil
}
