package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what a process tree cost during a step.
type usage struct {
	cpu  time.Duration
	peak int64 // bytes
}

// clockTick is USER_HZ, the unit of times in /proc/PID/stat; Linux fixes it
// at 100 for user space.
const clockTick = 10 * time.Millisecond

// sampler follows a daemon's process tree.
type sampler struct {
	daemon *exec.Cmd
	quit   chan struct{}
	done   chan usage
	start  time.Duration
}

// watchTree begins to sample daemon and its children; nil samples nothing.
func watchTree(daemon *exec.Cmd) *sampler {
	s := &sampler{daemon: daemon, quit: make(chan struct{}), done: make(chan usage, 1)}
	if daemon == nil {
		s.done <- usage{}
		return s
	}
	if daemon.Process != nil {
		s.start = s.cpu()
	}
	go s.run()
	return s
}

func (s *sampler) run() {
	var peak int64
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			peak = max(peak, s.memory())
		case <-s.quit:
			s.done <- usage{cpu: s.cpu() - s.start, peak: max(peak, s.memory())}
			return
		}
	}
}

func (s *sampler) stop() usage {
	close(s.quit)
	return <-s.done
}

func (s *sampler) memory() (sum int64) {
	for _, pid := range tree(s.daemon) {
		sum += pss(pid)
	}
	return sum
}

func (s *sampler) cpu() (sum time.Duration) {
	for _, pid := range tree(s.daemon) {
		if f := stat(pid); len(f) > 14 {
			for _, field := range f[11:15] { // utime, stime and those of reaped children
				ticks, _ := strconv.ParseInt(field, 10, 64)
				sum += time.Duration(ticks) * clockTick
			}
		}
	}
	return sum
}

// tree lists the pid of cmd and of all its descendants.
func tree(cmd *exec.Cmd) []int {
	if cmd.Process == nil {
		return nil
	}
	parents := map[int][]int{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if f := stat(pid); len(f) > 1 {
			ppid, _ := strconv.Atoi(f[1])
			parents[ppid] = append(parents[ppid], pid)
		}
	}
	pids := []int{cmd.Process.Pid}
	for i := 0; i < len(pids); i++ {
		pids = append(pids, parents[pids[i]]...)
	}
	return pids
}

// stat returns the fields of /proc/PID/stat after the command name: state,
// ppid, ... (proc_pid_stat(5)).
func stat(pid int) []string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
}

// pss is the proportional set size, which counts shared pages once. Plugins do
// not let others than root read it: then it is the resident set, which counts
// shared pages for each process.
func pss(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return rss(pid)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			kb, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10
		}
	}
	return 0
}

// rss reads the second field of /proc/PID/statm, in pages.
func rss(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0 // the process has ended
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

func commandUsage(p *os.ProcessState) usage {
	u := usage{cpu: p.UserTime() + p.SystemTime()}
	if r, ok := p.SysUsage().(*syscall.Rusage); ok {
		u.peak = r.Maxrss << 10
	}
	return u
}
