package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Users of the registry and their passwords, which nobody may ever print.
var (
	redUser   = user{"red", "rEd-p4ss:w0rd-of-the-reds", []string{"acme/*"}}
	blueUser  = user{"blue", "bLue-p4ssw0rd-of-the-blues", []string{"acme/blue"}}
	greenUser = user{"green", "gReen-p4ssw0rd/of+the=greens", []string{"acme/*"}}
	fileUser  = user{"file", "f1le-p4ssw0rd-in-docker-config", []string{"acme/*"}}
	execUser  = user{"exec", "3xec-p4ssw0rd-of-the-helper", []string{"acme/*"}}
)

// The hosts by which the one registry is known to those with pull secrets, in
// docker's file, and to the program.
const (
	fileHost = "file.example.com"
	execHost = "exec.example.com"
)

// teams is a site with namespaces that have credentials of their own for one
// registry.
type teams struct {
	site
	dockerFile string
	program    string
}

// TestPullSecrets shows that what a namespace may pull is what is shown for it:
// one that may not sees nothing of what another one has read.
func TestPullSecrets(t *testing.T) {
	t.Parallel()
	s := newTeams(t)
	s.keepApart()
	s.explains()
	s.heals()
	s.recovers()
	s.docker()
	s.leaks(s.secrets()...)
}

func newTeams(t *testing.T) *teams {
	t.Helper()
	w := newWorld(t)
	s := &teams{site: site{world: w, reg: w.registry("-auth", "token", "-token-life", "1s")}}
	s.reg.users(redUser, blueUser, greenUser, fileUser, execUser)
	s.reg.push("acme/shared", 0, "1.0", "1.1")
	s.reg.push("acme/blue", 0, "1")
	s.dockerFile, s.program = filepath.Join(w.dir, "config.json"), filepath.Join(w.dir, "docker-credential-test")
	s.writeDocker(fileUser)
	s.writeProgram(execUser)
	s.config = w.config(s.reg.block(shopHost, "rps = 1000") + s.reg.block(fileHost, "rps = 1000") + s.reg.block(execHost, "rps = 1000") + fmt.Sprintf(`
registry_credential "docker_config" "file" {
  match = [%q]
  path  = %q
}
registry_credential "exec" "program" {
  match   = [%q]
  command = [%q]
  cache   = "1h"
}
`, fileHost, s.dockerFile, execHost, s.program) + w.only("-red", "-blue", "-green") + oneSync(w.repo("teams", teamManifests()), ""))
	for _, team := range []user{redUser, blueUser, greenUser} {
		s.secret(team)
	}
	s.start()
	s.sluice("sync", w.prefix, "--wait")
	return s
}

// teamManifests are a workload of each team with the same image. That of the
// greens has its secret from its service account.
func teamManifests() map[string]string {
	files := map[string]string{
		"green-account.yaml": "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: puller\n  namespace: NS-green\nimagePullSecrets: [{name: regcred}]\n",
	}
	pod := func(team, name, host, more string) {
		files[team+"-"+name+".yaml"] = deployment("-"+team, name, host+"/acme/shared:1.0") + more
	}
	pod("red", "web", shopHost, "      imagePullSecrets: [{name: regcred}]\n")
	pod("blue", "web", shopHost, "      imagePullSecrets: [{name: regcred}]\n")
	pod("green", "web", shopHost, "      serviceAccountName: puller\n")
	pod("red", "file", fileHost, "")
	pod("red", "exec", execHost, "")
	return files
}

// secret writes the pull secret of a team.
func (s *teams) secret(u user) {
	s.t.Helper()
	manifest := filepath.Join(s.dir, "secret.json")
	auths := asJSON(map[string]any{"auths": map[string]any{shopHost: map[string]string{"username": u.Name, "password": u.Password}}})
	text := asJSON(map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
		"metadata": map[string]string{"name": "regcred", "namespace": s.prefix + "-" + u.Name},
		"data":     map[string][]byte{".dockerconfigjson": auths},
	})
	if err := os.WriteFile(manifest, text, 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.must("kubectl", "apply", "-f", manifest)
}

// writeDocker writes docker's configuration file.
func (s *teams) writeDocker(u user) {
	s.t.Helper()
	auth := base64.StdEncoding.EncodeToString([]byte(u.Name + ":" + u.Password))
	text := asJSON(map[string]any{"auths": map[string]any{fileHost: map[string]string{"auth": auth}}})
	if err := os.WriteFile(s.dockerFile, text, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// writeProgram writes a credential helper, in one step: it may be running.
func (s *teams) writeProgram(u user) {
	s.t.Helper()
	text := fmt.Sprintf("#!/bin/sh\nread -r server\n[ \"$1\" = get ] && [ \"$server\" = %s ] || exit 1\necho '{\"Username\": \"%s\", \"Secret\": \"%s\"}'\n",
		execHost, u.Name, u.Password)
	if err := os.WriteFile(s.program+".next", []byte(text), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(s.program+".next", s.program); err != nil {
		s.t.Fatal(err)
	}
}

// scan asks the registry now for the workload's image.
func (s *teams) scan(team, workload string) containerImages {
	s.t.Helper()
	list := s.images("-n", s.prefix+"-"+team, "deployment/"+workload, "--scan")
	if len(list) != 1 {
		s.t.Fatalf("%d rows for %s of %s", len(list), workload, team)
	}
	return list[0]
}

// both are the tags that everybody sees who may.
var both = []string{"1.1", "1.0"}

func (s *teams) sees(team, workload string) {
	s.t.Helper()
	if got := s.scan(team, workload); got.Error != "" || !slices.Equal(got.tags(), both) {
		s.t.Errorf("%s of %s sees %q, error %q; want %q", workload, team, got.tags(), got.Error, both)
	}
}

func (s *teams) keepApart() {
	s.sees("red", "web")
	s.reg.reset()
	got := s.scan("blue", "web")
	if len(got.Rows) != 0 || !strings.Contains(got.Error, "401") && !strings.Contains(got.Error, "refuse") {
		s.t.Errorf("blue sees %q, error %q, of what only others may see", got.tags(), got.Error)
	}
	for _, q := range s.reg.requests() {
		if q.User != "" && q.User != blueUser.Name {
			s.t.Errorf("blue's scan was made as %q: %+v", q.User, q)
		}
	}
	s.reg.reset()
	s.sees("green", "web")
	users := map[string]bool{}
	for _, q := range s.reg.requests("tags", "manifest-get", "blob") {
		if q.Status == http.StatusOK {
			users[q.User] = true
		}
	}
	if len(users) != 1 || !users[greenUser.Name] {
		s.t.Errorf("green's scan was made as %v", users)
	}
	scans := s.sluice("images", "cache", "stats", "-o", "json")
	var stats struct{ Listings struct{ Entries int } }
	if err := json.Unmarshal([]byte(scans), &stats); err != nil || stats.Listings.Entries < 2 {
		s.t.Errorf("%v: red and green share a listing: %s", err, scans)
	}
}

func (s *teams) explains() {
	image, pullSecrets := shopHost+"/acme/shared", "pull secrets of applier.kubernetes.c"
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"--workload", s.prefix + "-red:deployment/web"}, []string{"->", pullSecrets, "answered", "red"}},
		{[]string{"--workload", s.prefix + "-green:deployment/web"}, []string{"->", pullSecrets, "answered", "green"}},
		{[]string{"-n", s.prefix + "-blue", "--pull-secret", "regcred"}, []string{pullSecrets, "blue", "registry_credential.docker_config.file"}},
		{nil, []string{"anonymous, nobody has a credential", "not asked"}},
		{[]string{"-n", s.prefix + "-red", "--pull-secret", "nope"}, []string{"anonymous", pullSecrets + ": secret " + s.prefix + "-red/nope does not exist"}},
		{[]string{"-n", s.prefix + "-nope"}, []string{pullSecrets + ": the namespace " + s.prefix + "-nope is none of those"}},
	} {
		s.try(append([]string{"credentials", "explain", image, "-o", "json"}, c.args...)...) // for leaks
		o := s.try(append([]string{"credentials", "explain", image}, c.args...)...)
		for _, want := range c.want {
			if !strings.Contains(o.out, want) {
				s.t.Errorf("explain %v lacks %q:\n%s%s", c.args, want, o.out, o.errOut)
			}
		}
	}
	if o := s.try("credentials", "explain", image, "--workload", s.prefix+"-red:deployment/nope"); o.code != 1 || !strings.Contains(o.errOut, "there is no workload") {
		s.t.Errorf("explain for a workload that is not there: %+v", o)
	}
	elsewhere := s.sluice("credentials", "explain", "quay.io/acme/web", "-n", s.prefix+"-red", "--pull-secret", "regcred")
	if want := pullSecrets + ": regcred is for " + shopHost; !strings.Contains(elsewhere, want) {
		s.t.Errorf("explain for another registry lacks %q:\n%s", want, elsewhere)
	}
	if o := s.try("credentials", "explain", image, "--pull-secret", "regcred"); o.code != 1 || !strings.Contains(o.errOut, "add -n NAMESPACE") {
		s.t.Errorf("explain with a pull secret of no namespace: %+v", o)
	}
	list := s.sluice("credentials", "list")
	for _, want := range []string{pullSecrets, "registry_credential.docker_config.file", "registry_credential.exec.program", "built-in ecr"} {
		if !strings.Contains(list, want) {
			s.t.Errorf("the list lacks %q:\n%s", want, list)
		}
	}
}

// renewed are the passwords that come later.
var renewed = []string{"rEd-p4ss:the-second", "gReen-p4ss-the-second", "f1le-p4ss-the-second", "3xec-p4ss-the-second"}

// secrets are all passwords, and the tokens that the registry gave for them.
func (s *teams) secrets() []string {
	all := append([]string{redUser.Password, blueUser.Password, greenUser.Password, fileUser.Password, execUser.Password}, renewed...)
	issued := s.reg.issued()
	if len(issued) == 0 {
		s.t.Error("the registry tells of no token")
	}
	for _, secret := range issued {
		all = append(all, secret.Value)
	}
	return all
}

// heals replaces a password in the registry and in the secret: the scan that
// meets the old one with 401 gets the new one.
func (s *teams) heals() {
	next := redUser
	next.Password = renewed[0]
	s.secret(next)
	s.reg.users(next, blueUser, greenUser, fileUser, execUser)
	s.expire()
	s.sees("red", "web")
}

// expire waits until the tokens of the old passwords are over.
func (s *teams) expire() {
	s.t.Helper()
	end := time.Now().Add(1500 * time.Millisecond)
	s.eventually(time.Minute, "the old tokens expire", func() bool { return time.Now().After(end) })
}

// recovers is the other order: the registry refuses the password for a while,
// which is told, until the secret has the new one.
func (s *teams) recovers() {
	next := greenUser
	next.Password = renewed[1]
	reds := redUser
	reds.Password = renewed[0]
	s.reg.users(reds, blueUser, next, fileUser, execUser)
	s.expire()
	if got := s.scan("green", "web"); !strings.Contains(got.Error, "refuses its credential (user \"green\")") {
		s.t.Errorf("with the old password: %q, error %q; want the error of a refused credential", got.tags(), got.Error)
	}
	if o := s.try("credentials", "explain", shopHost+"/acme/shared", "--workload", s.prefix+"-green:deployment/web"); !strings.Contains(o.out, "refused") {
		s.t.Errorf("explain does not tell that the registry refuses the secret:\n%s", o.out)
	}
	if told := s.told("credential-refused"); len(told) == 0 || !strings.Contains(told[len(told)-1], "green") {
		s.t.Errorf("events of refused credentials: %q", told)
	}
	s.secret(next)
	s.eventually(time.Minute, "the new secret is found", func() bool { return s.scan("green", "web").Error == "" })
}

// docker has credentials from docker's file and from a program, both of which
// change.
func (s *teams) docker() {
	s.sees("red", "file")
	s.sees("red", "exec")
	files, execs := fileUser, execUser
	files.Password, execs.Password = renewed[2], renewed[3]
	s.writeDocker(files)
	s.writeProgram(execs)
	s.reg.users(files, execs)
	s.expire()
	s.reg.reset()
	s.sees("red", "file")
	s.sees("red", "exec")
	users := map[string]int{}
	for _, q := range s.reg.requests("tags") {
		if q.Status == http.StatusOK {
			users[q.User]++
		}
	}
	if len(users) != 2 || users[fileUser.Name] == 0 || users[execUser.Name] == 0 {
		s.t.Errorf("the tags were listed as %v, want file and exec", users)
	}
}
