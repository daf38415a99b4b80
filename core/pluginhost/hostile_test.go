//go:build unix

package pluginhost

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-gitops/sluice/sdk/handshake"
	"github.com/sluice-gitops/sluice/sdk/source"
)

// hostile are the plugins that the tests start, by name.
var hostile = map[string]func(){
	"test":       serveTest("test", "test"),
	"other":      serveTest("other", "other", "shared"),
	"third":      serveTest("third", "third", "shared"),
	"new":        pretendPlugin("new", "1|9|unix|/nowhere|grpc|"),
	"old":        pretendPlugin("old", "1|0|unix|/nowhere|grpc|"),
	"talker":     pretendPlugin("talker", "hello, world"),
	"silent":     pretendPlugin("silent", ""),
	"liar":       pretendPlugin("liar", "1|1|unix|/nowhere|grpc|"),
	"quitter":    func() { describeAs("quitter"); fmt.Fprintln(os.Stderr, "no licence"); os.Exit(3) },
	"babbler":    func() { describeForever() },
	"nodescribe": func() { fmt.Println("usage: nodescribe"); os.Exit(0) },
	"netrpc":     pretendPlugin("netrpc", "1|1|unix|/nowhere|netrpc"),
	"tcp":        pretendPlugin("tcp", "1|1|tcp|127.0.0.1:1|grpc|"),
	"indiscreet": serveIndiscreet,
	"mortal":     serveMortal,
	"cashier":    serveCashier,
	"scribe":     serveScribe,
	"host":       runHost,
	"chatter": func() {
		out := bufio.NewWriter(os.Stdout)
		fmt.Fprintln(out, "first line")
		for range 80_000 {
			fmt.Fprintln(out, strings.Repeat("chatter ", 8))
		}
		out.Flush()
		fmt.Fprintln(os.Stderr, "wrote everything")
		untilLifelineEnds()
	},
	"longline": func() {
		fmt.Println(strings.Repeat("x", 1<<20))
		untilLifelineEnds()
	},
	"stdin": func() {
		data, err := io.ReadAll(os.Stdin)
		fmt.Fprintf(os.Stderr, "stdin: %d bytes, err %v\n", len(data), err)
	},
	"environment": func() {
		for _, kv := range os.Environ() {
			fmt.Fprintln(os.Stderr, kv)
		}
	},
	"exit3":    func() { fmt.Fprintln(os.Stderr, "cannot go on"); os.Exit(3) },
	"panicker": func() { panic("boom") },
	"lifeline": func() {
		fmt.Fprintln(os.Stderr, "waiting")
		untilLifelineEnds()
		fmt.Fprintln(os.Stderr, "lifeline ended")
	},
	"sleeper": sleepForever,
	"deaf": func() {
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
		fmt.Fprintln(os.Stderr, "ignoring signals")
		sleepForever()
	},
	"family": func() { // a child that inherits stderr and outlives nobody
		child := sleeper()
		child.Stderr = os.Stderr
		if err := child.Start(); err != nil {
			panic(err)
		}
		fmt.Fprintf(os.Stderr, "child %d\n", child.Process.Pid)
		sleepForever()
	},
	"orphaner": func() { // ends at once, but leaves a child that holds stderr
		child := sleeper()
		child.Stderr = os.Stderr
		if err := child.Start(); err != nil {
			panic(err)
		}
		fmt.Fprintf(os.Stderr, "child %d\n", child.Process.Pid)
	},
	"escaper": func() { // leaves a child in a session of its own that holds stderr
		child := sleeper()
		child.Stderr = os.Stderr
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := child.Start(); err != nil {
			panic(err)
		}
		fmt.Fprintf(os.Stderr, "child %d\n", child.Process.Pid)
	},
}

// sleeper is a child process that does nothing until it is killed.
func sleeper() *exec.Cmd {
	return &exec.Cmd{Path: "/proc/self/exe", Args: []string{handshake.BinaryPrefix + "sleeper"}}
}

func sleepForever() {
	for {
		time.Sleep(time.Hour)
	}
}

func untilLifelineEnds() {
	_, _ = io.Copy(io.Discard, os.NewFile(lifelineFD, "lifeline"))
}

// describeAs answers `BINARY describe` like a plugin that offers source/NAME.
func describeAs(name string) {
	if len(os.Args) == 2 && os.Args[1] == "describe" {
		serveTest(name, name)() // does not return
	}
}

// pretendPlugin describes itself well, but when it is started it writes line
// and does nothing more.
func pretendPlugin(name, line string) func() {
	return func() {
		describeAs(name)
		if line != "" {
			fmt.Println(line)
		}
		sleepForever()
	}
}

func describeForever() {
	for {
		fmt.Println(strings.Repeat("{", 1000))
	}
}

// runHost is a daemon: it opens an instance of the test plugin that has a
// child, says what processes there are, and then waits to be killed. Its
// arguments are where plugins, sockets and data are.
func runHost() {
	h, err := newHost(Options{Dirs: os.Args[1:2], RunDir: os.Args[2], DataDir: os.Args[3], CacheDir: os.Args[3]}, testTiming)
	if err != nil {
		panic(err)
	}
	i, _, err := h.Open(context.Background(), "source", "test", "source.test.a", []byte(`{"do":"have a child"}`))
	if err != nil {
		panic(err)
	}
	child, err := i.Source().Resolve(context.Background(), source.Revision{})
	if err != nil {
		panic(err)
	}
	fmt.Println(h.Status()[0].PID, child.ID)
	sleepForever()
}
