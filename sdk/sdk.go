// Package sdk is what a plugin author starts from.
//
// A plugin is a value: its name, its version and the kinds it offers. Each
// kind pairs a type name with a function that opens an instance from a typed
// configuration:
//
//	func main() {
//		sdk.Main(sdk.Plugin{
//			Name:    "dir",
//			Version: "1.0.0",
//			Kinds:   []sdk.Kind{source.New("dir", open)},
//		})
//	}
//
//	type Config struct {
//		Path string `hcl:"path" format:"path" doc:"Directory to read."`
//	}
//
//	func open(ctx context.Context, c Config, env sdk.Env) (source.Source, error) { ... }
//
// The host starts the binary as a subprocess, opens any number of instances in
// it, and may stop and start it at any time: a plugin keeps no state that it
// cannot rebuild. Standard output belongs to the protocol; Main points
// os.Stdout at the log.
package sdk

import (
	"context"
	"os"
	"time"

	"github.com/sluice-gitops/sluice/sdk/host"
	"github.com/sluice-gitops/sluice/sdk/internal/plug"
	"github.com/sluice-gitops/sluice/sdk/internal/serve"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Plugin is what a binary offers.
type Plugin struct {
	Name    string // the binary is called sluice-plugin-NAME
	Version string // semantic version
	Kinds   []Kind
}

// Main runs the plugin and does not return. Started by a host it serves the
// host; with the argument "describe" it prints what the plugin offers, as
// JSON; with "validate" it checks configurations, see PROTOCOL.md; otherwise it
// explains to a person what the binary is.
func Main(p Plugin) {
	os.Exit(serve.Main(serve.Plugin(p), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Kind pairs a type name with the function that opens instances of it. It is
// made by source.New, applier.New, registry.New, renderer.New and helm.New.
type Kind = plug.Kind

// Option changes a Kind that is being made.
type Option = plug.Option

// Doc describes a kind to users, in a few sentences.
func Doc(text string) Option {
	return func(s *plug.Spec) { s.Doc = text }
}

// Env is what an open function gets from the host:
//
//	Log  hclog.Logger  // goes to the host, at the level the user has set
//	Dir  string        // cache directory of this instance; may be wiped while it is not open
//	Name string        // address in the configuration, "source.git.shop"
//	Host Host          // what the host does for the instance; never nil
type Env = plug.Env

// Host is what the host does for an instance: credentials, secrets, events.
type Host = host.Services

// Secret is a value that must never be printed.
type Secret = secret.Secret

// Checker is implemented by instances that can tell whether they can do their
// work. Check returns at once.
type Checker interface {
	Check(ctx context.Context) error
}

// Permanent wraps err to say that trying again is pointless until the input
// changes: the host waits for a new revision or configuration. It returns nil
// for nil.
func Permanent(err error) error { return plug.Permanent(err) }

// IsPermanent reports whether err is, or wraps, a Permanent one.
func IsPermanent(err error) bool { return plug.IsPermanent(err) }

// RetryAfter wraps err to say when trying again makes sense, for example when
// a server has sent Retry-After. It returns nil for nil.
func RetryAfter(err error, d time.Duration) error { return plug.RetryAfter(err, d) }

// RetryDelay returns the delay that err carries, if any.
func RetryDelay(err error) (time.Duration, bool) { return plug.RetryDelay(err) }
