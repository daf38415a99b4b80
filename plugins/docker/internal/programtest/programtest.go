// Package programtest gives tests real credential helpers: the test binary plays
// them when it is called by their names. They keep their things in $HOME.
package programtest

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Credential is what the program "store" knows of a server.
type Credential struct {
	ServerURL string
	Username  string
	Secret    string
}

const prefix = "docker-credential-"

// programs are what can be played, by what follows docker-credential-.
var programs = map[string]func() int{
	"store": store, "kubelet": kubelet, "environment": environment, "arguments": arguments,
	"hang": hang, "parent": parent, "leak": leak, "broken": broken, "flood": flood, "html": html,
}

// Main plays a program, and does not return, if the test binary was called by
// the name of one. TestMain calls it first.
func Main() {
	name, ok := strings.CutPrefix(filepath.Base(os.Args[0]), prefix)
	if ok {
		syscall.Exit(programs[name]()) // os.Exit takes a second with the race detector
	}
}

// Install puts all programs into the PATH, and nothing else, until the test
// ends. It returns the directory that is their $HOME.
func Install(t *testing.T) (home string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin, home := t.TempDir(), t.TempDir()
	for name := range programs {
		if err := os.Symlink(self, filepath.Join(bin, prefix+name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin)
	t.Setenv("HOME", home)
	return home
}

// Store makes credentials what the program "store" knows.
func Store(t *testing.T, home string, credentials ...Credential) {
	t.Helper()
	content, err := json.Marshal(credentials)
	if err != nil {
		t.Fatal(err)
	}
	Write(t, home, "store.json", string(content))
}

// Write writes a file of a program.
func Write(t *testing.T, home, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(home, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Asked returns what the programs were asked, a line each, and forgets it.
func Asked(t *testing.T, home string) []string {
	t.Helper()
	path := filepath.Join(home, "asked")
	content, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
}

func file(name string) string { return filepath.Join(os.Getenv("HOME"), name) }

// ask reads the question and notes it.
func ask() string {
	question, err := io.ReadAll(os.Stdin)
	if err == nil {
		var f *os.File
		if f, err = os.OpenFile(file("asked"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err == nil {
			defer f.Close()
			_, err = fmt.Fprintln(f, strings.TrimSpace(string(question)))
		}
	}
	if err != nil {
		panic(err)
	}
	return strings.TrimSpace(string(question))
}

func say(v any) int {
	if err := json.NewEncoder(os.Stdout).Encode(v); err != nil {
		panic(err)
	}
	return 0
}

// store is a docker credential helper over a file.
func store() int {
	if len(os.Args) != 2 || os.Args[1] != "get" {
		fmt.Fprintln(os.Stderr, "usage: docker-credential-store get")
		return 2
	}
	server := ask()
	content, err := os.ReadFile(file("store.json"))
	var known []Credential
	if err == nil {
		err = json.Unmarshal(content, &known)
	}
	if err != nil {
		fmt.Println("the store is locked:", err)
		return 1
	}
	for _, c := range known {
		if c.ServerURL == server {
			return say(c)
		}
	}
	fmt.Println("credentials not found in native keychain")
	return 1
}

// kubelet is a credential provider that says what response.json says.
func kubelet() int {
	var request struct{ APIVersion, Kind, Image string }
	question := ask()
	if err := json.Unmarshal([]byte(question), &request); err != nil ||
		request.APIVersion != "credentialprovider.kubelet.k8s.io/v1" || request.Kind != "CredentialProviderRequest" || request.Image == "" {
		fmt.Fprintln(os.Stderr, "not a request:", question)
		return 1
	}
	content, err := os.ReadFile(file("response.json"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(string(content))
	return 0
}

func environment() int {
	return say(Credential{Username: "environment", Secret: strings.Join(os.Environ(), "\n")})
}

func arguments() int {
	return say(Credential{Username: "arguments", Secret: strings.Join(os.Args[1:], "\n")})
}

// hang never answers, and neither does a child of it.
func hang() int {
	if os.Getenv("CHILD") == "" {
		fmt.Fprintln(os.Stderr, "waiting for the smart card")
	}
	return startChild(true)
}

// parent answers, and leaves a child that holds its standard output open.
func parent() int {
	say(Credential{Username: "parent", Secret: "from-the-parent"})
	return startChild(false)
}

// startChild starts a program that never ends and notes its process ID.
func startChild(wait bool) int {
	if os.Getenv("CHILD") != "" {
		time.Sleep(time.Hour)
		return 0
	}
	child := exec.Command(prefix + "hang")
	child.Env = append(os.Environ(), "CHILD=1")
	child.Stdout, child.Stderr = os.Stdout, os.Stderr
	if err := child.Start(); err != nil {
		panic(err)
	}
	if err := os.WriteFile(file("child"), []byte(strconv.Itoa(child.Process.Pid)), 0o600); err != nil {
		panic(err)
	}
	if wait {
		_ = child.Wait() // it is killed
	}
	return 0
}

// leak writes a secret where it should not be.
func leak() int {
	say(Credential{Username: "ann", Secret: "hunter2-hunter2"})
	fmt.Fprintln(os.Stderr, "debug: logged in with hunter2-hunter2 and", os.Getenv("API_KEY"), "\x1b[31mbut then")
	return 3
}

// broken tells on standard output what is wrong, as the protocol has it.
func broken() int {
	fmt.Println("pass is not initialized:\texit status 1, API key", os.Getenv("API_KEY"))
	return 1
}

func flood() int {
	block := strings.Repeat("x", 1<<16)
	for range 64 {
		fmt.Print(block)
		fmt.Fprint(os.Stderr, block)
	}
	return 0
}

func html() int {
	fmt.Println("<html>token=hunter2-hunter2</html>")
	return 0
}
