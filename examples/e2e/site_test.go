package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// site is a daemon that looks after the images that run, and their registry.
type site struct {
	*world
	reg    *registry
	config string
	daemon *daemon
}

// only makes namespaces of the test's own and declares an applier that sees
// these and nothing of other tests on the cluster. Names follow the prefix.
func (w *world) only(names ...string) string {
	w.t.Helper()
	for i, name := range names {
		names[i] = w.prefix + name
		w.must("kubectl", "create", "namespace", names[i])
	}
	return fmt.Sprintf("applier \"kubernetes\" \"c\" {\n  kubeconfig = %q\n  namespaces = %s\n}\n", os.Getenv("SLUICE_TEST_KUBECONFIG"), asJSON(names))
}

// start starts the daemon, which logs all it can.
func (s *site) start() {
	s.t.Helper()
	s.daemon = s.world.daemon(s.config, "--log-level", "debug")
}

// try runs a command of sluice that may fail.
func (s *site) try(args ...string) outcome {
	s.t.Helper()
	return s.run("sluice", append([]string{"--config", s.config}, args...)...)
}

// ages are what differs each time that something is shown.
var ages = regexp.MustCompile(`[0-9]+[smhd] ago`)

// sluice runs a command that has to succeed, and returns its standard output
// without the blanks at the ends of lines, and with the same age for all.
func (s *site) sluice(args ...string) string {
	s.t.Helper()
	var lines []string
	for line := range strings.Lines(s.must("sluice", append([]string{"--config", s.config}, args...)...)) {
		lines = append(lines, strings.TrimRight(line, " \n"))
	}
	return ages.ReplaceAllString(strings.Join(lines, "\n"), "1s ago")
}

// images is what `sluice images` tells, with more arguments.
func (s *site) images(args ...string) (list []containerImages) {
	s.t.Helper()
	out := s.must("sluice", append([]string{"--config", s.config, "images", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		s.t.Fatalf("%v in %s", err, out)
	}
	return list
}

// containerImages is the contract of `sluice images -o json`.
type containerImages struct {
	Workload, Container, Image, Error string
	Init                              bool
	Rows                              []struct {
		Relation string
		Count    int
		Tag      struct {
			Name    string
			Created time.Time
			Digest  string
			Problem string
		}
	}
}

// tags are the names in the rows.
func (c containerImages) tags() []string {
	var names []string
	for _, r := range c.Rows {
		names = append(names, r.Tag.Name)
	}
	return names
}

// api is a client of the daemon's API, at any host.
func (s *site) api() *http.Client {
	socket := filepath.Join(s.dir, "data", "api.sock")
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
}

// told are the messages of events with the reason.
func (s *site) told(reason string) []string {
	s.t.Helper()
	var messages []string
	for line := range strings.Lines(s.must("sluice", "--config", s.config, "events", "--limit", "1000", "-o", "json")) {
		var e struct{ Reason, Message string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			s.t.Fatalf("%v: %s", err, line)
		}
		if e.Reason == reason {
			messages = append(messages, e.Message)
		}
	}
	return messages
}

// asked counts the requests for a repository.
func (s *site) asked(repository string) int {
	s.t.Helper()
	n := 0
	for _, q := range s.reg.requests() {
		if strings.Contains(q.Path, "/"+repository+"/") {
			n++
		}
	}
	return n
}
