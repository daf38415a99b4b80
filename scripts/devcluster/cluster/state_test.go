package cluster

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gitops/sluice/scripts/devcluster/process"
)

func TestValidateName(t *testing.T) {
	for _, name := range []string{"a", "dev", "e2e-1", strings.Repeat("x", 40)} {
		if err := ValidateName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", ".", "..", "a/b", "../dev", "Dev", "-a", "a-", "a.lock", "a\n", strings.Repeat("x", 41)} {
		if err := ValidateName(name); err == nil {
			t.Errorf("%q is valid", name)
		}
	}
}

func TestStateRoundTrip(t *testing.T) {
	dir := t.TempDir()
	want := &state{
		Name: "dev", Created: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Programs: "key", Nodes: 3,
		Ports:     ports{APIServer: 1, EtcdClient: 2, EtcdPeer: 3},
		Processes: map[string]process.Identity{Etcd: {PID: 7, Start: "boot/8"}},
	}
	for range 2 { // The second replaces the first.
		if err := want.write(dir); err != nil {
			t.Fatal(err)
		}
	}
	got, err := readState(dir)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("readState = %+v, %v, want %+v", got, err, want)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("files: %v, %v, want only the state", entries, err)
	}
	info, err := os.Stat(filepath.Join(dir, stateFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read it: %v, %v", info.Mode(), err)
	}
}

func TestBrokenState(t *testing.T) {
	root := t.TempDir()
	clusters := New(root, func(string) {})
	if err := os.MkdirAll(filepath.Join(root, "dev"), 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, "dev", stateFile)
	if err := os.WriteFile(file, []byte(`{"name": "de`), 0o600); err != nil {
		t.Fatal(err)
	}
	// Its processes are not known: to remove the directory would leave them behind.
	if _, err := clusters.Down(t.Context(), "dev"); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("Down = %v, want an error that names the file", err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("Down removed it: %v", err)
	}
	if list, err := clusters.List(t.Context()); err == nil || len(list) != 0 {
		t.Errorf("List = %v, %v, want an error", list, err)
	}
}

func TestNames(t *testing.T) {
	root := t.TempDir()
	for _, file := range []string{"b/" + stateFile, "a/" + stateFile, "half-made/tokens.csv", "Not A Name/" + stateFile, "c.lock"} {
		path := filepath.Join(root, file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := names(root); err != nil || !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("names = %v, %v", got, err)
	}
	if got, err := names(filepath.Join(root, "none")); err != nil || len(got) != 0 {
		t.Errorf("names of a missing directory = %v, %v", got, err)
	}
}

func TestPorts(t *testing.T) {
	taken := map[int]bool{}
	for range 20 {
		before := len(taken)
		p, err := choosePorts(taken)
		if err != nil {
			t.Fatal(err)
		}
		if len(taken) != before+3 {
			t.Fatalf("%+v: not three new ports", p)
		}
		for _, port := range p.all() {
			if *port < firstPort || *port > lastPort {
				t.Errorf("port %d is out of the range", *port)
			}
		}
	}
}

func TestPortsAllTaken(t *testing.T) {
	taken := map[int]bool{}
	for port := firstPort; port <= lastPort; port++ {
		taken[port] = true
	}
	if p, err := choosePorts(taken); err == nil {
		t.Errorf("choosePorts = %+v", p)
	}
}

func TestListens(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if listens(port) == nil {
		t.Error("a port with a listener counts as free")
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if err := listens(port); err != nil {
		t.Errorf("a free port: %v", err)
	}
}

func TestOverall(t *testing.T) {
	for _, test := range []struct {
		states []State
		want   State
	}{
		{[]State{Running, Running}, Running},
		{[]State{Running, Unready}, Degraded},
		{[]State{Running, Died}, Degraded},
		{[]State{Unready, Stopped}, Degraded},
		{[]State{Stopped, Died}, Stopped},
		{[]State{Stopped, Stopped}, Stopped},
	} {
		var components []ComponentStatus
		for _, s := range test.states {
			components = append(components, ComponentStatus{State: s})
		}
		if got := overall(components); got != test.want {
			t.Errorf("overall(%v) = %s, want %s", test.states, got, test.want)
		}
	}
}

func TestUnknownCluster(t *testing.T) {
	clusters := New(filepath.Join(t.TempDir(), "root"), func(string) {})
	if _, err := clusters.Status(t.Context(), "dev"); !errors.Is(err, ErrNotExist) {
		t.Errorf("Status = %v", err)
	}
	if err := clusters.Stop(t.Context(), "dev", "", false); !errors.Is(err, ErrNotExist) {
		t.Errorf("Stop = %v", err)
	}
	if err := clusters.Stop(t.Context(), "dev", "kubelet", false); err == nil || errors.Is(err, ErrNotExist) {
		t.Errorf("Stop of an unknown component = %v", err)
	}
	if existed, err := clusters.Down(t.Context(), "dev"); existed || err != nil {
		t.Errorf("Down = %v, %v", existed, err)
	}
	if _, err := clusters.Status(t.Context(), "../dev"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Status of an invalid name = %v", err)
	}
}
