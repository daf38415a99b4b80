package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are taken from below the range that systems hand out to outgoing
// connections (Linux: from 32768 on). From within it, a connection of anybody
// could take the port of a cluster that is stopped for a moment.
const (
	firstPort = 20000
	lastPort  = 32000
)

// ports are the TCP ports of a cluster, all on 127.0.0.1.
type ports struct {
	APIServer  int `json:"apiServer"`
	EtcdClient int `json:"etcdClient"`
	EtcdPeer   int `json:"etcdPeer"`
}

func (p *ports) all() []*int { return []*int{&p.APIServer, &p.EtcdClient, &p.EtcdPeer} }

// choosePorts returns ports that nobody listens on and that are not in taken.
func choosePorts(taken map[int]bool) (ports, error) {
	var p ports
	for _, port := range p.all() {
		free, err := freePort(taken)
		if err != nil {
			return ports{}, err
		}
		taken[free] = true
		*port = free
	}
	return p, nil
}

// freePort starts at a random port, since two commands that look for one at
// the same time must not both find the first.
func freePort(taken map[int]bool) (int, error) {
	const count = lastPort - firstPort + 1
	start := rand.IntN(count)
	for i := range count {
		port := firstPort + (start+i)%count
		if !taken[port] && listens(port) == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free TCP port from %d to %d on 127.0.0.1", firstPort, lastPort)
}

// listens returns why port cannot be listened on, or nil when it can.
func listens(port int) error {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	return errors.Join(err, closeListener(listener))
}

func closeListener(listener net.Listener) error {
	if listener == nil {
		return nil
	}
	return listener.Close()
}
