package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/api"
	"github.com/sluice-gitops/sluice/core/engine"
	"github.com/sluice-gitops/sluice/core/pluginhost"
	"github.com/sluice-gitops/sluice/sdk/client"
)

func newPlugin(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use:   "plugin",
		Short: "List, describe, check and lock plugins",
	}, newPluginList(a), newPluginDescribe(a), newPluginCheck(a), newPluginLock(a))
}

// withPluginHost runs f with the plugins that the configuration finds; a
// configuration that is not there means the defaults.
func (a *app) withPluginHost(ctx context.Context, f func(*pluginhost.Host, engine.Options) error) error {
	o, err := a.engineOptions(slog.LevelWarn)
	if err != nil {
		return err
	}
	host, err := engine.PluginHost(o)
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		_ = host.Close(closing) // nothing of this command's is at stake any more
	}()
	return f(host, o)
}

func newPluginList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List plugins: the daemon's processes, or what would be found without one",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return a.pluginList(cmd.Context()) },
	}
}

func (a *app) pluginList(ctx context.Context) error {
	client, err := a.client(ctx)
	if err == nil {
		running, err := client.Plugins(ctx)
		if err == nil {
			return a.view(map[string]any{"plugins": running}, func(w io.Writer) error { return writeProcesses(w, running) })
		}
		if !errors.Is(err, api.ErrUnreachable) {
			return err
		}
	}
	return a.withPluginHost(ctx, func(h *pluginhost.Host, _ engine.Options) error {
		found := foundPlugins(h.Plugins(ctx))
		return a.view(map[string]any{"plugins": found}, func(w io.Writer) error { return writeFound(w, found) })
	})
}

func writeProcesses(w io.Writer, plugins []pluginhost.PluginStatus) error {
	return table(w, "PLUGIN\tVERSION\tSTATE\tPID\tINSTANCES\tRESTARTS\tMEMORY\tNOTE", func(row func(...any)) {
		for _, p := range plugins {
			note := p.LastExit
			if p.Dev {
				note = strings.TrimSpace("dev, unchecked " + note)
			}
			row(p.Plugin, p.Version, p.State, p.PID, len(p.Instances), p.Restarts, fmt.Sprintf("%dM", p.RSS>>20), note)
		}
	})
}

func writeFound(w io.Writer, plugins []foundPlugin) error {
	return table(w, "PLUGIN\tVERSION\tOFFERS\tPATH\tNOTE", func(row func(...any)) {
		for _, p := range plugins {
			row(p.Name, p.Version, strings.Join(p.Offers, ", "), p.Path, p.Error)
		}
	})
}

// foundPlugin is a plugin that would be used, as it is shown.
type foundPlugin struct {
	Name    string   `json:"name"`
	Version string   `json:"version,omitempty"`
	Path    string   `json:"path"`
	SHA256  string   `json:"sha256,omitempty"`
	Dev     bool     `json:"dev,omitempty"`
	Offers  []string `json:"offers"` // kind/type pairs
	Error   string   `json:"error,omitempty"`
}

func foundPlugins(found []pluginhost.Found) []foundPlugin {
	list := make([]foundPlugin, 0, len(found))
	for _, f := range found {
		p := foundPlugin{Name: f.Name, Version: f.Description.Version, Path: f.Path, SHA256: f.SHA256, Dev: f.Dev, Offers: []string{}}
		for _, k := range f.Description.Kinds {
			p.Offers = append(p.Offers, k.Kind+"/"+k.Type)
		}
		if f.Err != nil {
			p.Error = f.Err.Error()
		}
		list = append(list, p)
	}
	return list
}

func newPluginDescribe(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "describe NAME|BINARY",
		Short: "Show what a plugin offers and how it is configured",
		Example: `  sluice plugin describe git
  sluice plugin describe ./bin/sluice-plugin-mine -o json`,
		Args: needs("NAME or BINARY", 1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			d, err := a.describe(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.view(d, func(w io.Writer) error { return writeDescription(w, d) })
		},
	}
}

func (a *app) describe(ctx context.Context, name string) (d client.Description, err error) {
	if strings.ContainsRune(name, filepath.Separator) {
		return pluginhost.DescribeBinary(ctx, name)
	}
	err = a.withPluginHost(ctx, func(h *pluginhost.Host, _ engine.Options) error {
		d, err = describeFound(h.Plugins(ctx), name)
		return err
	})
	return d, err
}

func describeFound(found []pluginhost.Found, name string) (client.Description, error) {
	names := make([]string, 0, len(found))
	for _, p := range found {
		if p.Name == name {
			return p.Description, p.Err
		}
		names = append(names, p.Name)
	}
	return client.Description{}, withHint(fmt.Errorf("there is no plugin %q", name),
		"found: %s; give a path, such as ./%s, for a binary elsewhere", strings.Join(names, ", "), name)
}

func writeDescription(w io.Writer, d client.Description) error {
	_, _ = fmt.Fprintf(w, "# %s %s\n", d.Name, d.Version)
	for _, k := range d.Kinds {
		_, _ = fmt.Fprintf(w, "\n## %s %q\n\n", k.Kind, k.Type)
		if k.Doc != "" {
			_, _ = fmt.Fprintf(w, "%s\n\n", k.Doc)
		}
		if len(k.Capabilities) > 0 {
			_, _ = fmt.Fprintf(w, "Can: %s.\n\n", strings.Join(k.Capabilities, ", "))
		}
		if k.Schema != nil {
			_, _ = io.WriteString(w, k.Schema.Markdown())
		}
	}
	return nil
}

func newPluginLock(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "lock [NAME...]",
		Short: "Record the checksums of the plugins in plugins.lock.hcl",
		Long: `Record the checksums of the named plugins, or of all that are found, in
plugins.lock.hcl beside the configuration. With that file in place no other
binary is started: run this again after an upgrade that you trust.`,
		RunE: func(cmd *cobra.Command, names []string) error {
			return a.withPluginHost(cmd.Context(), func(h *pluginhost.Host, o engine.Options) error {
				locked, err := h.WriteLock(cmd.Context(), names)
				if err != nil {
					return err
				}
				return a.view(map[string]any{"plugins": locked}, func(w io.Writer) error {
					for _, name := range slices.Sorted(maps.Keys(locked)) {
						_, _ = fmt.Fprintf(w, "locked %s %s\n", name, locked[name].Version)
					}
					return nil
				})
			})
		},
	}
}
