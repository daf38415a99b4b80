package process

import (
	"bytes"
	"os"
	"strconv"
)

// startOf returns the opaque start of the process with this pid and whether it
// runs: the boot's id and the clock tick since boot at which it was started.
func startOf(pid int) (start string, running bool) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", false
	}
	state, tick, ok := parseStat(stat)
	if !ok || state == "Z" || state == "X" {
		return "", false
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", false
	}
	return string(bytes.TrimSpace(boot)) + "/" + tick, true
}

// parseStat reads the state and the start tick, the 3rd and the 22nd field of
// proc_pid_stat(5). The 2nd is the program's name in parentheses and may
// itself hold spaces and parentheses.
func parseStat(stat []byte) (state, tick string, ok bool) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return "", "", false
	}
	return string(fields[0]), string(fields[19]), true
}
