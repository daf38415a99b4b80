package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/api"
	"github.com/sluice-gitops/sluice/core/available"
	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/limit"
	"github.com/sluice-gitops/sluice/core/images/ref"
)

func newImages(a *app) *cobra.Command {
	var f workloadFlags
	var req available.Request
	cmd := &cobra.Command{
		Use:     "images [WORKLOAD...]",
		Aliases: []string{"list-images"},
		Short:   "Show which tags the registries have for what runs",
		Long: `Show which tags the registries have for the images that run: newer ones are
marked with |, the one that runs with '->.

It tells what the daemon knows. Repositories under an automation policy are
looked at by themselves; of the others, those of a WORKLOAD that is named are
looked at when nothing is known of them yet, and all of them with --scan.
A WORKLOAD is namespace:kind/name, or kind/name in the namespace of -n.`,
		Example: `  sluice images shop:deployment/web
  sluice images -n shop --scan
  sluice images -A -l 0 -o json`,
		ValidArgsFunction: a.completeWorkloads,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(a); err != nil {
				return err
			}
			req.Workloads = append(req.Workloads, args...)
			if len(req.Workloads) > 0 && f.all {
				return withHint(errors.New("--all-namespaces does not go with named workloads"), "leave out one of them")
			}
			if req.Limit < 0 {
				return withHint(fmt.Errorf("--limit %d: want a count", req.Limit), "0 is all")
			}
			req.Namespace, req.Container = f.namespace(a), f.container
			return a.images(cmd.Context(), req, f)
		},
	}
	f.bind(cmd)
	cmd.Flags().StringArrayVarP(&req.Workloads, "workload", "w", nil, "a workload, the same as an argument; may be repeated")
	cmd.Flags().StringArrayVar(&req.Workloads, "controller", nil, "the same as --workload")
	cmd.Flags().Lookup("controller").Hidden = true // what fluxctl called it once
	cmd.Flags().IntVarP(&req.Limit, "limit", "l", 10, "how many tags to show for each container, 0 for all")
	cmd.Flags().BoolVar(&req.Scan, "scan", false, "ask the registries now")
	cmd.Flags().DurationVar(&req.Timeout, "timeout", 2*time.Minute, "how long to wait for registries, 0 for as long as it takes; what is known is shown in any case")
	cmd.AddCommand(newImagesParse(a), newImagesSelect(a), newImagesScans(a), newImagesBudget(a), newImagesCache(a), newImagesWhy(a), newImagesQuarantine(a))
	return cmd
}

func (a *app) images(ctx context.Context, req available.Request, f workloadFlags) error {
	client, err := a.client(ctx)
	if err != nil {
		return err
	}
	p := a.progress()
	stop := a.tellScans(ctx, client, p)
	answer, err := client.Images(ctx, req, func(s available.Progress) {
		p.line(fmt.Sprintf("%s: %s", s.Repository, scanned(s)), fmt.Sprintf("%d scanned, %s", s.Done, s.Repository))
	})
	stop()
	p.end()
	if err != nil {
		return err
	}
	a.tellProblems(answer.Problems)
	a.tellNotes(answer.Warnings)
	if len(answer.Images) == 0 && !a.output.machine() {
		f.tellNothing(a)
		return nil
	}
	return a.view(answer.Images, func(w io.Writer) error { return writeImages(w, answer.Images, f.noHeaders) })
}

// tellScans says now and then what a scan that takes long waits for, until stop
// is called.
func (a *app) tellScans(ctx context.Context, client *api.Client, p *progress) (stop func()) {
	const patience = 3 * time.Second
	ctx, cancel := context.WithCancel(ctx)
	var telling sync.WaitGroup
	telling.Go(func() {
		tick := time.NewTicker(patience)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			scans, err := client.ImageScans(ctx)
			if err != nil {
				return // the scan itself will tell
			}
			budgets, err := client.ImageBudget(ctx)
			if err != nil {
				return
			}
			if text, live := scanning(scans, budgets); text != "" {
				p.line(text, live)
			}
		}
	})
	return func() { cancel(); telling.Wait() }
}

// scanning says which repository is being read, and how fast its registry lets
// us; the figures, which change all the time, are in live only.
func scanning(scans []images.RepositoryStatus, budgets []limit.Budget) (text, live string) {
	for _, s := range scans {
		if !s.Scanning {
			continue
		}
		text = s.Repository + " is being read"
		live = text
		for _, b := range budgets {
			if strings.HasPrefix(s.Repository, b.Host+"/") && b.Waiting > 0 {
				text += ", as fast as " + b.Host + " allows"
				live += fmt.Sprintf(", %s allows %s", b.Host, rate(b.RPS))
				break
			}
		}
		if s.Missing > 0 {
			live += fmt.Sprintf("; %s to read", plural(s.Missing, "image"))
		}
		return text, live
	}
	return "", ""
}

func scanned(s available.Progress) string {
	if s.Error != "" {
		return s.Error
	}
	return plural(s.Tags, "tag")
}

// writeImages writes a group of rows for each container.
func writeImages(w io.Writer, list []available.Images, noHeaders bool) error {
	header := "WORKLOAD\tCONTAINER\tIMAGE\tCREATED"
	if noHeaders {
		header = ""
	}
	return table(w, header, func(row func(...any)) {
		workload := ""
		for _, c := range list {
			id := c.Workload
			if id == workload {
				id = ""
			}
			workload = c.Workload
			row(id, c.Container, imageName(c.Image), standing(c))
			for _, r := range c.Rows {
				row("", "", mark(r), created(r))
			}
			if len(c.Rows) == 0 {
				row("", "", "'-> "+currentOf(c), "")
			}
		}
	})
}

// standing says what is wrong with what is shown of an image, if anything is, and
// how old it is.
func standing(c available.Images) string {
	why := c.Error
	if c.View == nil || c.View.Scanned.IsZero() {
		return why
	}
	if why == "" {
		why = c.View.Skipped
	}
	seen := "seen " + age(c.View.Scanned) + " ago"
	if why == "" {
		return seen
	}
	return seen + "; " + why
}

// imageName is the image without its tag and digest.
func imageName(image string) string {
	parsed, err := ref.Parse(image)
	if err != nil {
		return image
	}
	return parsed.Name()
}

// currentOf is the tag that runs, where no registry has told of any.
func currentOf(c available.Images) string {
	parsed, err := ref.Parse(c.Image)
	switch {
	case err != nil:
		return "?"
	case parsed.Tag != "":
		return parsed.Tag
	case parsed.Digest != "":
		return parsed.Digest
	}
	return "(untagged)"
}

// mark is a tag with what it is to the image that runs.
func mark(r images.Row) string {
	switch r.Relation {
	case images.Newer:
		return "|   " + r.Tag.Name
	case images.Current, images.Unlisted:
		return "'-> " + r.Tag.Name
	case images.Omitted:
		if r.Count == 1 {
			return ":   (1 image omitted)"
		}
		return fmt.Sprintf(":   (%d images omitted)", r.Count)
	}
	return "    " + r.Tag.Name
}

func created(r images.Row) string {
	switch {
	case r.Relation == images.Omitted:
		return ""
	case r.Relation == images.Unlisted:
		return "?"
	case !r.Tag.Created.IsZero():
		return r.Tag.Created.Format(time.RFC822)
	}
	return r.Tag.Problem
}

func newImagesParse(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "parse REF...",
		Short: "Take image references apart (no daemon needed)",
		Long: `Take image references apart, as the kubelet reads them. "-" reads references
from standard input, one a line. Exits with 2 if one of them is none.`,
		Example: `  sluice images parse nginx quay.io/acme/web:1.2 -o json`,
		Args:    needs("REF", 1, -1),
		RunE: func(_ *cobra.Command, args []string) error {
			refs, err := a.linesOf(args)
			if err != nil {
				return err
			}
			parsed := make([]ref.Parsed, len(refs))
			bad := false
			for i, s := range refs {
				parsed[i] = ref.Describe(s)
				bad = bad || parsed[i].Error != ""
			}
			err = a.view(parsed, func(w io.Writer) error { return writeParsed(w, parsed) })
			if err == nil && bad {
				return exitCode(ExitChanges)
			}
			return err
		},
	}
}

func writeParsed(w io.Writer, list []ref.Parsed) error {
	return table(w, "INPUT\tDOMAIN\tREPOSITORY\tTAG\tDIGEST\tCANONICAL\tERROR", func(row func(...any)) {
		for _, p := range list {
			row(p.Input, p.Domain, p.Repository, p.Tag, p.Digest, p.Canonical, p.Error)
		}
	})
}

// linesOf replaces an argument "-" by the lines of standard input.
func (a *app) linesOf(args []string) ([]string, error) {
	var all []string
	for _, arg := range args {
		if arg != "-" {
			all = append(all, arg)
			continue
		}
		data, err := io.ReadAll(a.In)
		if err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
		for line := range strings.Lines(string(data)) {
			if line = strings.TrimSpace(line); line != "" {
				all = append(all, line)
			}
		}
	}
	return all, nil
}
