package serve_test

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/source"
)

func TestProcessProtectsItsMemory(t *testing.T) {
	conn, _ := start(t, &keeper{})
	opened, _, err := client.NewPlugin(conn).Open(t.Context(), client.OpenRequest{
		Kind: "source", Type: "talker", Name: "source.talker.a", HostServices: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	src := client.NewSource(client.Direct(conn, opened.Instance))
	rev, err := src.Resolve(t.Context(), source.Revision{ID: "protections"})
	if err != nil || rev.ID != "protected" {
		t.Errorf("the memory of the process is %q, %v", rev.ID, err)
	}
}

func TestProcessShowsItsName(t *testing.T) {
	conn, _ := start(t, &keeper{})
	opened, _, err := client.NewPlugin(conn).Open(t.Context(), client.OpenRequest{
		Kind: "source", Type: "talker", Name: "source.talker.a", HostServices: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	rev, err := client.NewSource(client.Direct(conn, opened.Instance)).Resolve(t.Context(), source.Revision{ID: "name"})
	if err != nil || rev.ID != "sluice-talker" {
		t.Errorf("the process is called %q, %v", rev.ID, err)
	}
}

// readName tells, from inside a plugin process, what ps calls it.
func readName() (source.Revision, error) {
	name, err := os.ReadFile("/proc/self/comm")
	return source.Revision{ID: strings.TrimSpace(string(name))}, err
}

// readProtections tells, from inside a plugin process, whether its memory can
// reach a core file.
func readProtections() (source.Revision, error) {
	var core syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &core); err != nil {
		return source.Revision{}, err
	}
	const prGetDumpable = 3
	dumpable, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prGetDumpable, 0, 0)
	if errno != 0 {
		return source.Revision{}, errno
	}
	rev := source.Revision{ID: "open"}
	if core.Cur == 0 && core.Max == 0 && dumpable == 0 {
		rev.ID = "protected"
	}
	return rev, nil
}
