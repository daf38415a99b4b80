package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/sluice-gitops/sluice/scripts/devcluster/process"
)

// State says how a cluster or a component is.
type State string

// The states. A cluster is running when all its components are, stopped when
// none has a process, and degraded otherwise.
const (
	Running  State = "running"
	Unready  State = "unready" // the process runs and does not answer as it should
	Stopped  State = "stopped" // by a command, or never started
	Died     State = "died"    // it was not stopped by a command
	Degraded State = "degraded"
)

// Status is how a cluster is at one moment. Its JSON form is what `-o json` prints.
type Status struct {
	Name       string            `json:"name"`
	State      State             `json:"state"`
	Created    time.Time         `json:"created"`
	Server     string            `json:"server"`
	Nodes      int               `json:"nodes"`
	Programs   string            `json:"programs"`
	Dir        string            `json:"dir"`
	Kubeconfig string            `json:"kubeconfig"`
	Audit      string            `json:"audit"`
	Components []ComponentStatus `json:"components"`
}

// ComponentStatus is how one component is.
type ComponentStatus struct {
	Name   string `json:"name"`
	State  State  `json:"state"`
	PID    int    `json:"pid,omitempty"`
	Log    string `json:"log"`
	Reason string `json:"reason,omitempty"` // why it is not ready
}

// Status looks at a cluster. It takes no lock and waits for nobody.
func (c *Clusters) Status(ctx context.Context, name string) (*Status, error) {
	s, err := c.read(name)
	if err != nil {
		return nil, err
	}
	return s.status(ctx, c.dir(name)), nil
}

// List looks at all clusters, in the order of their names. The error joins
// those of the clusters that cannot be read.
func (c *Clusters) List(ctx context.Context) ([]*Status, error) {
	found, err := names(c.root)
	list := make([]*Status, 0, len(found))
	for _, name := range found {
		status, statusErr := c.Status(ctx, name)
		if errors.Is(statusErr, ErrNotExist) {
			continue // It was taken down just now.
		}
		if statusErr != nil {
			err = errors.Join(err, statusErr)
			continue
		}
		list = append(list, status)
	}
	return list, err
}

func (s *state) status(ctx context.Context, dir string) *Status {
	l := layout{dir}
	status := &Status{
		Name: s.Name, Created: s.Created, Nodes: s.Nodes, Programs: s.Programs,
		Server: localURL("https", s.Ports.APIServer),
		Dir:    dir, Kubeconfig: l.kubeconfig(admin), Audit: l.audit(),
	}
	for _, component := range Components() {
		id, started := s.Processes[component]
		cs := ComponentStatus{Name: component, State: componentState(id, started), Log: l.log(component)}
		if cs.State == Running {
			cs.PID = id.PID
		}
		if component == APIServer && cs.State == Running {
			if err := s.ready(ctx, l); err != nil {
				cs.State, cs.Reason = Unready, err.Error()
			}
		}
		status.Components = append(status.Components, cs)
	}
	status.State = overall(status.Components)
	return status
}

func componentState(id process.Identity, started bool) State {
	switch {
	case !started:
		return Stopped
	case id.Alive():
		return Running
	}
	return Died
}

func overall(components []ComponentStatus) State {
	running, processes := 0, 0
	for _, c := range components {
		switch c.State {
		case Running:
			running++
			processes++
		case Unready:
			processes++
		}
	}
	switch {
	case running == len(components):
		return Running
	case processes == 0:
		return Stopped
	}
	return Degraded
}

// ready asks the API server, which asks etcd.
func (s *state) ready(ctx context.Context, l layout) error {
	api, err := newClient(l, s.Ports)
	if err != nil {
		return err
	}
	defer api.close()
	return api.get(ctx, "/readyz", nil)
}
