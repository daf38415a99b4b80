package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/pluginhost"
	"github.com/sluice-gitops/sluice/sdk/applier"
	"github.com/sluice-gitops/sluice/sdk/client"
	"github.com/sluice-gitops/sluice/sdk/conformance"
	"github.com/sluice-gitops/sluice/sdk/registry"
	"github.com/sluice-gitops/sluice/sdk/schema"
)

type checkFlags struct {
	offer    string   // kind/type
	instance string   // JSON, or @file
	objects  string   // file of items, a line each
	images   []string // host/repository
	tree     string   // directory for a renderer, or a chart for a helm
	paths    []string // of it
	install  string   // namespace that a helm installs the chart in
	env      []string
	writable bool
}

func newPluginCheck(a *app) *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check BINARY",
		Short: "Run the conformance suites against a plugin binary",
		Long: `Run the conformance suites against a plugin binary, in any language: handshake,
description, reopening, cancellation, unknown fields, clean standard output, the
end of the host, and what its kinds promise.

The checks work on an instance. Its configuration is --instance, a JSON object
of the plugin's own arguments; a type that needs none is checked without. Checks that
lack the samples they need are skipped. A helm plugin gets the namespace that it
may install in with -n, which must exist, and with --tree another chart than the
suite's own.
Exit code 2 if a check fails.`,
		Example: `  sluice plugin check ./bin/sluice-plugin-git --type source/git \
      --instance '{"url": "file:///srv/git/repo.git"}'
  sluice plugin check ./bin/sluice-plugin-kubernetes --type applier/kubernetes \
      --env KUBECONFIG=$KUBECONFIG --instance '{}' --objects samples.jsonl
  sluice plugin check ./bin/sluice-plugin-helm --type helm/helm \
      --env KUBECONFIG=$KUBECONFIG --instance '{}' -n scratch`,
		Args: needs("BINARY", 1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.install = a.namespace
			return a.pluginCheck(cmd.Context(), args[0], f)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.offer, "type", "", "check only this kind/type, such as source/git")
	fl.StringVar(&f.instance, "instance", "", "configuration of the instance to check with: JSON, or @file")
	fl.StringVar(&f.objects, "objects", "", `sample objects for an applier, as "sluice manifest render -o jsonl" prints them`)
	fl.StringArrayVar(&f.images, "image", nil, "image that a credential plugin has a credential for, host/repository; may be repeated")
	fl.StringVar(&f.tree, "tree", "", "sample directory for a renderer, or chart for a helm")
	fl.StringArrayVar(&f.paths, "path", nil, "path below --tree to render, by default all; may be repeated")
	fl.BoolVar(&f.writable, "writable", false, "also write to a source: files, branches and markers, which stay there")
	fl.StringArrayVar(&f.env, "env", nil, "give the plugin this variable, name=value; may be repeated")
	return cmd
}

// checkReport is what came of one kind/type.
type checkReport struct {
	Type    string               `json:"type"`
	Results []conformance.Result `json:"results"`
}

func (a *app) pluginCheck(ctx context.Context, binary string, f checkFlags) error {
	d, err := pluginhost.DescribeBinary(ctx, binary)
	if err != nil {
		return err
	}
	offers, err := f.choose(d)
	if err != nil {
		return err
	}
	reports, passed := []checkReport{}, true
	for _, k := range offers {
		subject, err := f.subject(binary, k)
		if err != nil {
			return err
		}
		r := checkReport{Type: k.Kind + "/" + k.Type}
		passed = conformance.Run(ctx, subject, func(res conformance.Result) {
			r.Results = append(r.Results, res)
			a.showResult(r.Type, res)
		}) && passed
		reports = append(reports, r)
	}
	if a.output.machine() {
		if err := a.view(map[string]any{"plugin": d.Name, "passed": passed, "checks": reports}, nil); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !passed {
		return exitCode(ExitChanges)
	}
	return nil
}

func (a *app) showResult(offer string, r conformance.Result) {
	if a.output.machine() {
		return
	}
	_, _ = fmt.Fprintf(a.Out, "%-8s %s %s (%s)\n", r.Outcome, offer, r.Name, r.Took.Round(time.Millisecond))
	if r.Outcome == conformance.OK {
		return
	}
	for _, m := range r.Messages {
		_, _ = fmt.Fprintf(a.Out, "         %s\n", strings.ReplaceAll(m, "\n", "\n         "))
	}
}

// choose returns the kinds to check: the one of --type, or all.
func (f checkFlags) choose(d client.Description) ([]client.KindDescription, error) {
	var names []string
	for _, k := range d.Kinds {
		names = append(names, k.Kind+"/"+k.Type)
	}
	if f.offer == "" {
		if f.instance != "" && len(d.Kinds) > 1 {
			return nil, withHint(errors.New("--instance needs --type"), "the plugin offers %s", strings.Join(names, ", "))
		}
		return d.Kinds, nil
	}
	i := slices.Index(names, f.offer)
	if i < 0 {
		return nil, withHint(fmt.Errorf("the plugin does not offer %s", f.offer), "it offers %s", strings.Join(names, ", "))
	}
	return d.Kinds[i : i+1], nil
}

func (f checkFlags) subject(binary string, k client.KindDescription) (*conformance.Subject, error) {
	config, err := instanceConfig(f.instance)
	if err != nil {
		return nil, err
	}
	if config == nil {
		if missing := required(k.Schema); len(missing) > 0 {
			return nil, withHint(fmt.Errorf("%s/%s needs a configuration: %s", k.Kind, k.Type, strings.Join(missing, ", ")),
				"give one: --type %s/%s --instance '{%q: ...}'", k.Kind, k.Type, missing[0])
		}
	}
	s := &conformance.Subject{Kind: k.Kind, Type: k.Type, Config: config, Writable: f.writable, Start: conformance.Binary(binary, f.env...)}
	if f.tree != "" {
		if s.Tree, err = filepath.Abs(f.tree); err != nil {
			return nil, err
		}
		s.Paths = f.paths
	}
	s.Namespace = f.install
	if f.objects != "" {
		if s.Objects, err = readItems(f.objects); err != nil {
			return nil, err
		}
	}
	for _, image := range f.images {
		host, repository, ok := strings.Cut(image, "/")
		if !ok {
			return nil, fmt.Errorf("--image %q: want host/repository", image)
		}
		s.Images = append(s.Images, registry.Request{Host: host, Repository: repository})
	}
	return s, nil
}

// required lists what a block cannot do without.
func required(s *schema.Schema) []string {
	var names []string
	for _, a := range s.Attributes {
		if a.Required {
			names = append(names, a.Name)
		}
	}
	for _, b := range s.Blocks {
		if b.Min > 0 {
			names = append(names, b.Name)
		}
	}
	return names
}

// instanceConfig reads the value of --instance.
func instanceConfig(value string) (json.RawMessage, error) {
	if value == "" {
		return nil, nil
	}
	raw := []byte(value)
	if file, ok := strings.CutPrefix(value, "@"); ok {
		var err error
		if raw, err = os.ReadFile(file); err != nil {
			return nil, err
		}
	}
	if !json.Valid(raw) || !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
		return nil, errors.New("--instance: want a JSON object")
	}
	return raw, nil
}

func readItems(file string) ([]applier.Item, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	var items []applier.Item
	dec := json.NewDecoder(bufio.NewReader(f))
	for {
		var it applier.Item
		switch err := dec.Decode(&it); {
		case errors.Is(err, io.EOF):
			return items, nil
		case err != nil:
			return nil, fmt.Errorf("%s: object %d: %w", file, len(items)+1, err)
		}
		items = append(items, it)
	}
}
