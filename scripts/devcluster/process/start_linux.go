package process

import (
	"bytes"
	"os"
	"strconv"
	"strings"
)

// startOf returns the opaque start of the process with this pid and whether it
// runs: the boot's id and the clock tick since boot at which it was started.
func startOf(pid int) (start string, running bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", false
	}
	p, ok := parseStat(stat)
	if !ok || p.ended() {
		return "", false
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", false
	}
	return string(bytes.TrimSpace(boot)) + "/" + p.tick, true
}

// procStat is what matters here of proc_pid_stat(5).
type procStat struct {
	state, threads, tick string
}

// parseStat reads the fields 3, 20 and 22. The 2nd is the program's name in
// parentheses and may itself hold spaces and parentheses.
func parseStat(stat []byte) (p procStat, ok bool) {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return procStat{}, false
	}
	return procStat{state: fields[0], threads: fields[17], tick: fields[19]}, true
}

// ended reports whether nothing of the process runs any more. A zombie with
// threads besides the first is one that is being killed: until they are gone
// as well, its ports stay taken and its files locked.
func (p procStat) ended() bool {
	return p.state == "X" || p.state == "Z" && p.threads == "1"
}
