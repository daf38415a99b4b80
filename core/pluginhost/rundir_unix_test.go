//go:build unix

package pluginhost

import (
	"os"
	"sync"
	"testing"
)

// TestHostsComeAndGoTogether: one host removes its directory while others look
// for those of dead hosts.
func TestHostsComeAndGoTogether(t *testing.T) {
	base := t.TempDir()
	if err := os.Chmod(base, 0o700); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				d, err := newRunDir(base)
				if err != nil {
					t.Error(err)
					return
				}
				if err := d.Close(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
