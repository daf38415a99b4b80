package cli

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestFlagsInHelp: back-quoted words of a flag's text are shown as the name of its
// argument, which a switch does not have.
func TestFlagsInHelp(t *testing.T) {
	check := func(path string, f *pflag.Flag) {
		name, _ := pflag.UnquoteUsage(f)
		if strings.ContainsAny(name, " \t") || f.Value.Type() == "bool" && name != "" {
			t.Errorf("%s --%s seems to take %q", path, f.Name, name)
		}
	}
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) { check(c.CommandPath(), f) })
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(newRoot(&app{}))
}
