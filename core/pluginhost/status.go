package pluginhost

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/handshake"
)

// PluginStatus is how a plugin fares.
type PluginStatus struct {
	Plugin    string     `json:"plugin"`
	Path      string     `json:"path"`
	Dev       bool       `json:"dev,omitempty"` // a development override, not verified
	State     State      `json:"state"`
	Since     time.Time  `json:"since"`
	Reason    string     `json:"reason,omitempty"`   // with back-off
	RetryAt   *time.Time `json:"retry_at,omitempty"` // with back-off
	PID       int        `json:"pid,omitempty"`
	Version   string     `json:"version,omitempty"`
	SHA256    string     `json:"sha256,omitempty"`
	RSS       int64      `json:"rss_bytes,omitempty"` // resident memory; Linux only
	Restarts  int        `json:"restarts"`            // after accidents
	InFlight  int        `json:"in_flight"`           // calls under way
	Instances []string   `json:"instances"`
	LastExit  string     `json:"last_exit,omitempty"`
}

// Status returns the state of each plugin that has been used, by name.
func (h *Host) Status() []PluginStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := make([]PluginStatus, 0, len(h.processes))
	for _, name := range slices.Sorted(maps.Keys(h.processes)) {
		list = append(list, h.processes[name].status())
	}
	return list
}

func (p *process) status() PluginStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := PluginStatus{
		Plugin: p.c.name, Path: p.c.path, Dev: p.c.dev, State: p.state, Since: p.since,
		Restarts: p.restarts, Instances: make([]string, 0, len(p.instances)),
	}
	for i := range p.instances {
		st.Instances = append(st.Instances, i.name)
	}
	slices.Sort(st.Instances)
	if s := p.session; s != nil {
		st.PID, st.Version, st.SHA256, st.InFlight = s.run.pid, s.version, s.sha, s.inflight
		st.RSS = residentBytes(s.run.pid)
	}
	if p.state == Backoff {
		retryAt := p.retryAt
		st.Reason, st.RetryAt = p.trouble.Error(), &retryAt
	}
	if p.lastExit != nil {
		st.LastExit = p.lastExit.String()
	}
	return st
}

// residentBytes reads the second field of /proc/PID/statm, 0 if there is none.
func residentBytes(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := bytes.Fields(data)
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// Found is a plugin that the host could use.
type Found struct {
	Name        string
	Path        string
	Origin      string // how it was found
	Dev         bool
	SHA256      string // empty with Err
	Description client.Description
	Err         error // why it cannot be used
}

// Plugins returns every plugin that is declared or stands in Dirs, by name.
// It describes those that are not known yet.
func (h *Host) Plugins(ctx context.Context) []Found {
	var list []Found
	for _, c := range h.candidates() {
		d, err := h.describe(ctx, c)
		list = append(list, Found{
			Name: c.name, Path: c.path, Origin: c.origin, Dev: c.dev,
			SHA256: d.sha, Description: d.Description, Err: err,
		})
	}
	return list
}

// candidates returns declared plugins and those in Dirs, each name once.
func (h *Host) candidates() []*candidate {
	byName := map[string]*candidate{}
	for _, c := range append(h.others(), h.declared()...) {
		byName[c.name] = c
	}
	return sortedByName(byName)
}

// WriteLock records the binaries of the named plugins, or of every plugin if
// there are no names, in the lock file, and returns what it recorded. It
// trusts the binaries as they are: this is the moment to be sure of them.
// Other plugins, and sums of the same version for other platforms, are kept.
// Development overrides are not recorded.
func (h *Host) WriteLock(ctx context.Context, names []string) (map[string]LockedPlugin, error) {
	if h.o.LockFile == "" {
		return nil, fmt.Errorf("no lock file is configured")
	}
	lock, err := h.readLock()
	if err != nil {
		return nil, err
	}
	if lock == nil {
		lock = &Lock{}
	}
	recorded := map[string]LockedPlugin{}
	for _, c := range h.candidates() {
		if c.dev || len(names) > 0 && !slices.Contains(names, c.name) {
			continue
		}
		version, sum, err := h.trust(ctx, c)
		if err != nil {
			return nil, err
		}
		lock.set(c.name, version, sum)
		recorded[c.name] = lock.Plugins[c.name]
	}
	for _, name := range names {
		if _, ok := recorded[name]; !ok {
			return nil, fmt.Errorf("plugin %s: no binary %s%s in %s", name, handshake.BinaryPrefix, name, listOr(h.o.Dirs, "no directory"))
		}
	}
	return recorded, lock.Write(h.o.LockFile)
}

// trust describes a binary without asking the lock file.
func (h *Host) trust(ctx context.Context, c *candidate) (version, sum string, err error) {
	exe, err := h.sums.open(c.path)
	if err != nil {
		return "", "", fmt.Errorf("plugin %s (%s): %w", c.name, c.origin, err)
	}
	defer func() { _ = exe.Close() }() // only read from
	d, err := h.describeOpen(ctx, c, exe)
	return d.Version, exe.sha, err
}
