//go:build unix && !linux

package process

import (
	"os/exec"
	"strconv"
	"strings"
)

// startOf returns the opaque start of the process with this pid and whether it
// runs: the time of its start as ps prints it.
func startOf(pid int) (start string, running bool) {
	out, err := exec.Command("ps", "-o", "stat=,lstart=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return "", false
	}
	state, start, ok := strings.Cut(strings.TrimSpace(string(out)), " ")
	return strings.TrimSpace(start), ok && !strings.HasPrefix(state, "Z")
}
