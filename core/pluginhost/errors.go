package pluginhost

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrPluginExited is what every *ExitedError is.
var ErrPluginExited = errors.New("plugin exited")

// ErrNotFound is returned by lookups if no plugin offers what is looked for. A
// plugin that does, or that has the name for it, and cannot be used is another
// error.
var ErrNotFound = errors.New("no such plugin")

// ErrClosed is returned by calls after Host.Close or Instance.Close.
var ErrClosed = errors.New("plugin host is closed")

// ExitedError says that the plugin's process ended while a call was under
// way. Whether the call had an effect is not known.
type ExitedError struct {
	Plugin string
	Call   string // "source.Resolve"
	Exit   Exit
}

// Error names the plugin, the call, the way it ended and its last words.
func (e *ExitedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "plugin %s ended during %s: %s", e.Plugin, e.Call, e.Exit)
	if words := e.Exit.lastWords(); words != "" {
		b.WriteString("; last output: " + words)
	}
	return b.String()
}

// Is makes every ExitedError match ErrPluginExited.
func (e *ExitedError) Is(target error) bool { return target == ErrPluginExited }

// InstanceError says which instance of which plugin failed.
type InstanceError struct {
	Kind, Type string
	Name       string // of the instance
	Plugin     string // with its version: "git 1.2.3"
	Err        error  // what it said, without known secrets
}

// Error names kind, type, instance and plugin, then says what failed.
func (e *InstanceError) Error() string {
	name := strings.TrimPrefix(e.Name, e.Kind+"."+e.Type+".")
	return fmt.Sprintf("%s/%s %q (plugin %s): %v", e.Kind, e.Type, name, e.Plugin, e.Err)
}

// Unwrap returns what the plugin said.
func (e *InstanceError) Unwrap() error { return e.Err }

// Unnamed is what the plugin said, for whoever tells by itself of what.
func (e *InstanceError) Unnamed() error { return e.Err }

// Exit is how a plugin process ended. Text in it is free of known secrets.
type Exit struct {
	PID    int
	Time   time.Time
	Code   int      // -1 if a signal ended it
	Signal string   // "killed", empty if it exited by itself
	Reason string   // why the host killed it, empty if it did not
	Crash  string   // Go crash report, at most 64 KiB
	Output []string // last log lines, oldest first
}

// String returns "exit status 3", "signal: killed" or the host's reason.
func (e Exit) String() string {
	switch {
	case e.Reason != "":
		return e.Reason
	case e.Signal != "":
		return "signal: " + e.Signal
	}
	return fmt.Sprintf("exit status %d", e.Code)
}

// lastWords is the line that most likely explains the exit.
func (e Exit) lastWords() string {
	if first, _, _ := strings.Cut(e.Crash, "\n"); first != "" {
		return first
	}
	if len(e.Output) > 0 {
		return e.Output[len(e.Output)-1]
	}
	return ""
}

// startError says why a plugin could not be started.
type startError struct {
	plugin string
	err    error
}

func (e *startError) Error() string { return fmt.Sprintf("start plugin %s: %v", e.plugin, e.err) }
func (e *startError) Unwrap() error { return e.err }

// notFoundError says where a plugin was looked for.
type notFoundError struct{ text string }

func (e *notFoundError) Error() string { return e.text }

// Is makes every notFoundError match ErrNotFound.
func (e *notFoundError) Is(target error) bool { return target == ErrNotFound }
