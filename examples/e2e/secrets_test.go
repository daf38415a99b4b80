package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// leaks searches everything that came of a site for secrets, in any form in
// which they may stand there: what commands printed, logs, events, figures, the
// API, all files of the daemon, and the arguments of processes.
func (s *site) leaks(secrets ...string) {
	s.t.Helper()
	seen := s.everything()
	for _, secret := range secrets {
		for _, form := range forms(secret) {
			for name, content := range seen {
				if i := bytes.Index(content, []byte(form)); i >= 0 {
					s.t.Errorf("%s holds a secret as %q: ...%q", name, form, content[max(0, i-80):i])
				}
			}
		}
	}
}

// everything is all that came of the site, by what it is. It must not be empty,
// or the search would find nothing anywhere.
func (s *site) everything() map[string][]byte {
	s.t.Helper()
	for _, args := range [][]string{
		{"status"}, {"events", "--limit", "1000"}, {"workloads", "-A"}, {"images", "scans"}, {"images", "budget"}, {"images", "cache", "stats"},
		{"credentials", "list"}, {"credentials", "list", "-o", "yaml"},
	} {
		s.sluice(args...)
	}
	seen := map[string][]byte{"what commands printed": bytes.Clone(s.printed.Bytes())}
	for _, path := range []string{
		"/v1/status", "/v1/events", "/v1/plugins", "/v1/config", "/v1/workloads", "/v1/credentials",
		"/v1/images/scans", "/v1/images/budget", "/v1/images/cache", "/metrics",
	} {
		seen[path] = s.get(path)
	}
	s.arguments(seen)
	s.daemon.stop() // which writes what is to be written
	s.files(seen)
	for _, want := range []string{"data/images.db", "data/state.db", "daemon.log"} {
		if len(seen[want]) == 0 {
			s.t.Errorf("%s is not there to be searched", want)
		}
	}
	return seen
}

// get asks the daemon's API.
func (s *site) get(path string) []byte {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, "http://daemon"+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := s.api().Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || len(body) == 0 {
		s.t.Fatalf("GET %s: %s %v %q", path, resp.Status, err, body)
	}
	return body
}

// arguments adds the command lines of all processes that one may see.
func (s *site) arguments(seen map[string][]byte) {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, line := range lines {
		if text, err := os.ReadFile(line); err == nil { // else it has ended
			seen[line] = text
		}
	}
}

// files adds the daemon's files and logs.
func (s *site) files(seen map[string][]byte) {
	s.t.Helper()
	err := filepath.WalkDir(filepath.Join(s.dir, "data"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(s.dir, path)
		if err == nil {
			seen[name], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	seen["daemon.log"] = []byte(s.daemon.logText())
}

// noCoreDumps checks that neither the daemon nor a plugin of it leaves its
// memory in a file when it crashes.
func (s *site) noCoreDumps() {
	s.t.Helper()
	processes := s.plugins(s.config)
	processes["the daemon"] = s.daemon.cmd.Process.Pid
	for name, pid := range processes {
		limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
		if err != nil {
			s.t.Errorf("%s: %v", name, err)
			continue
		}
		for line := range strings.Lines(string(limits)) {
			if size, ok := strings.CutPrefix(line, "Max core file size"); ok && strings.Join(strings.Fields(size), " ") != "0 0 bytes" {
				s.t.Errorf("%s may dump its core: %s", name, line)
			}
		}
	}
}

// forms are the ways in which a secret may stand in a text: as it is, escaped,
// and in base64 and hexadecimal, also as part of something longer.
func forms(secret string) []string {
	list := []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), strings.Trim(fmt.Sprintf("%q", secret), `"`), hex.EncodeToString([]byte(secret)),
	}
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for shift := range 3 { // where in a group of three bytes it begins
			text := encoding.EncodeToString(append(make([]byte, shift), secret...))
			first, last := (shift*8+5)/6, (shift+len(secret))*8/6 // whole characters of the secret's own bits
			list = append(list, text[first:last])
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// TestForms checks that a secret is found in what it can be hidden in by
// accident, or nothing else here would prove anything.
func TestForms(t *testing.T) {
	const secret = "p4ss w0rd+of/the=\"reds\""
	found := func(text string) bool {
		return slices.ContainsFunc(forms(secret), func(form string) bool { return strings.Contains(text, form) })
	}
	for name, text := range map[string]string{
		"plain": "the password is " + secret + ".", "quoted": fmt.Sprintf("%q", "it is "+secret), "query": url.Values{"p": {secret}}.Encode(),
		"hexadecimal": hex.EncodeToString([]byte("red:" + secret)),
	} {
		if !found(text) {
			t.Errorf("%s: not found in %q", name, text)
		}
	}
	for _, before := range []string{"", "r", "re", "red", "red:"} {
		for _, after := range []string{"", "x", "xy", "xyz"} {
			for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding} {
				if text := encoding.EncodeToString([]byte(before + secret + after)); !found(text) {
					t.Errorf("not found in %q, which is %q", text, before+secret+after)
				}
			}
		}
	}
	if found("nothing is here, not even pASSw0rd or the reds") {
		t.Error("found where it is not")
	}
}
