package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestImageNews pushes new images: the scans that go on by themselves find
// them, and an event tells of those that a policy takes, and of no others.
func TestImageNews(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.sluice("images", "-n", s.prefix, "--scan") // or all would be new
	s.reg.push("acme/web", 30, "1.3.0", "3.0.0")
	s.reg.push("acme/db", 30, "15.1")
	var told []string
	s.eventually(time.Minute, "the new version is an event", func() bool {
		told = s.told("new_images")
		return slices.ContainsFunc(told, func(m string) bool { return strings.Contains(m, "1.3.0") })
	})
	want := fmt.Sprintf("web of %s:deployment/web: %s/acme/web has 1.3.0", s.prefix, shopHost)
	if !slices.Equal(told, []string{want}) {
		s.t.Errorf("told %q, want %q alone", told, want)
	}
	if web := s.images("-n", s.prefix, "--container", "web", "-l", "3")[0]; !slices.Equal(web.tags(), []string{"3.0.0", "2.0.0", "1.3.0", "", "1.1.0"}) {
		s.t.Errorf("tags of web: %q", web.tags())
	}
}

// TestImagesKilled ends the daemon with SIGKILL while it reads many images:
// what it has read stays read, and what it has not read follows.
func TestImagesKilled(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	const many = 60
	var tags []string
	for i := range many {
		tags = append(tags, fmt.Sprintf("b%02d", i))
	}
	s.reg.push("acme/big", 0, tags...)
	s.repo.commit(map[string]string{"big.yaml": workload("apps/v1", "Deployment", "big", "acme/big:b00", "fluxcd.io/automated=true")})
	s.sluice("sync", s.prefix, "--wait")
	before := s.sluice("images", "-n", s.prefix, "deployment/web")
	s.reg.faults(fault{Class: "manifest-get", Path: "acme/big", Delay: "100ms"})
	scan := exec.Command(filepath.Join(s.bin, "sluice"), "--config", s.config, "images", "-n", s.prefix, "deployment/big", "--scan")
	scan.Env = s.env
	if err := scan.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.eventually(time.Minute, "most of the images are read", func() bool { return s.asked("acme/big") > many*9/5 }) // manifest and config each
	s.daemon.kill()
	if err := scan.Wait(); err == nil {
		s.t.Error("a scan whose daemon was killed is a success")
	}
	s.reg.faults()
	s.start()
	if after := s.sluice("images", "-n", s.prefix, "deployment/web"); after != before {
		s.t.Errorf("before\n%s\nafter\n%s", before, after)
	}
	s.reg.reset()
	if big := s.images("-n", s.prefix, "deployment/big", "--scan", "-l", "0"); len(big[0].Rows) != many || big[0].Rows[0].Tag.Name != "b59" || big[0].Rows[0].Tag.Created.IsZero() {
		s.t.Errorf("%d rows of big, the first one %+v", len(big[0].Rows), big[0].Rows[0])
	}
	if n := len(s.reg.requests("manifest-get")); n == 0 || n > many*2/3 {
		s.t.Errorf("%d of %d manifests were read after the crash, want some, but not those again that had been read", n, many)
	}
}
