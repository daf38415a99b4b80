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
