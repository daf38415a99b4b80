//go:build unix

package pluginhost

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const binaryPrefix = "sluice-plugin-"

// hostile are the plugins that the tests start, by name.
var hostile = map[string]func(){
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
	return &exec.Cmd{Path: "/proc/self/exe", Args: []string{binaryPrefix + "sleeper"}}
}

func sleepForever() {
	for {
		time.Sleep(time.Hour)
	}
}

func untilLifelineEnds() {
	_, _ = io.Copy(io.Discard, os.NewFile(lifelineFD, "lifeline"))
}
