//go:build unix

package serve_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// TestStandardErrorIsClosed: a host that no longer reads what its plugins log,
// but still calls them, gets its answers. By default a write to a closed
// standard error ends a Go process with SIGPIPE.
func TestStandardErrorIsClosed(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	// go-plugin makes the pipe for standard error itself: the shell puts ours
	// in its place.
	cmd := exec.Command("/bin/sh", "-c", `exec "$0" "$@" 2>&3 3>&-`, os.Args[0], "-test.run=^$")
	cmd.ExtraFiles = []*os.File{write}
	conn, _ := startCommand(t, &keeper{}, cmd)
	for _, end := range []*os.File{write, read} {
		if err := end.Close(); err != nil {
			t.Fatal(err)
		}
	}
	p := client.NewPlugin(conn)
	opened, _, err := p.Open(t.Context(), client.OpenRequest{Kind: "source", Type: "talker", Name: "source.talker.a", HostServices: true})
	if err != nil {
		t.Fatal(err)
	}
	src := client.NewSource(client.Direct(conn, opened.Instance))
	for n := range 3 { // each writes to every stream, and logs
		if rev, err := src.Resolve(t.Context(), source.Revision{}); err != nil || rev.ID != "s3cret" {
			t.Fatalf("call %d with standard error closed: %+v, %v", n+1, rev, err)
		}
	}
}
