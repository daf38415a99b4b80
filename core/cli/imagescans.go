package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/images"
	"github.com/sluice-gitops/sluice/core/images/cache"
	"github.com/sluice-gitops/sluice/core/images/limit"
)

func newImagesScans(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "scans",
		Short: "Show how the scans of each repository fare",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			list, err := client.ImageScans(cmd.Context())
			if err != nil {
				return err
			}
			if len(list) == 0 && !a.output.machine() {
				fmt.Fprintln(a.Err, "no repository is scanned by itself: see scan of the images block")
				return nil
			}
			return a.view(list, func(w io.Writer) error { return writeScans(w, list) })
		},
	}
}

func writeScans(w io.Writer, list []images.RepositoryStatus) error {
	return table(w, "REPOSITORY\tTAGS\tSCANNED\tCHANGED\tNEXT\tMISSING\tCREDENTIAL\tPROBLEM", func(row func(...any)) {
		for _, r := range list {
			problem := r.Error
			if problem == "" {
				problem = r.Warning
			}
			row(r.Repository, r.Tags, age(r.Scanned), age(r.Changed), when(r.Next), r.Missing, anonymous(r.Credential), problem)
		}
	})
}

func newImagesBudget(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "budget",
		Short: "Show how many requests each registry gets, and may",
		Long: `Show how many requests each registry gets, for each credential: the rate that
the registry's answers allow now, below the ceiling of the configuration, what
is left of a quota, and until when nothing is sent.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			list, err := client.ImageBudget(cmd.Context())
			if err != nil {
				return err
			}
			return a.view(list, func(w io.Writer) error { return writeBudget(w, list) })
		},
	}
}

func writeBudget(w io.Writer, list []limit.Budget) error {
	return table(w, "HOST\tRATE\tCEILING\tQUOTA\tWAITING\tREQUESTS\tTHROTTLED\tBLOCKED\tCREDENTIAL\tWHY", func(row func(...any)) {
		for _, b := range list {
			quota := ""
			if b.Quota != nil {
				quota = fmt.Sprintf("%d/%d, %d reserved", b.Quota.Remaining, b.Quota.Limit, b.Quota.Reserved)
			}
			row(b.Host, rate(b.RPS), rate(b.Ceiling), quota,
				b.Waiting, b.Requests, b.Throttled, when(b.BlockedUntil), anonymous(b.Identity), b.Why)
		}
	})
}

func rate(rps float64) string {
	if rps >= 100 {
		return fmt.Sprintf("%.0f/s", rps)
	}
	return fmt.Sprintf("%.3g/s", rps)
}

func newImagesCache(a *app) *cobra.Command {
	return group(&cobra.Command{
		Use:   "cache",
		Short: "Show or clear what is remembered of images",
	}, newImagesCacheStats(a), newImagesCacheClear(a))
}

func newImagesCacheStats(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "stats",
		Short: "Count what is remembered of images",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			stats, err := client.ImageCache(cmd.Context())
			if err != nil {
				return err
			}
			return a.view(stats, func(w io.Writer) error { return writeCacheStats(w, stats) })
		},
	}
}

func newImagesCacheClear(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "clear [REPOSITORIES]",
		Short: "Forget what is remembered of images",
		Long: `Forget what is remembered of the repositories that the pattern matches, such as
"quay.io/acme/*", or of all. The next scan reads it again.`,
		Args: needs("REPOSITORIES", 0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			pattern := "*"
			if len(args) == 1 {
				pattern = args[0]
			}
			client, err := a.client(cmd.Context())
			if err != nil {
				return err
			}
			gone, err := client.ClearImageCache(cmd.Context(), pattern)
			if err != nil {
				return err
			}
			return a.view(gone, func(w io.Writer) error {
				_, err := fmt.Fprintf(w, "forgot %s with %s and %s, and %s\n",
					plural(gone.Listings.Entries, "repository"), plural(gone.Tags, "tag"), plural(gone.Images.Entries, "image"), plural(gone.Negatives.Entries, "failure"))
				return err
			})
		},
	}
}

func writeCacheStats(w io.Writer, s cache.Stats) error {
	const mebi = 1 << 20
	err := table(w, "WHAT\tENTRIES\tBYTES", func(row func(...any)) {
		row("repositories", s.Listings.Entries, s.Listings.Bytes)
		row("tags", s.Tags, "")
		row("digests of tags", s.Digests.Entries, s.Digests.Bytes)
		row("images", s.Images.Entries, s.Images.Bytes)
		row("failures", s.Negatives.Entries, s.Negatives.Bytes)
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\n%s: %.1f MiB, %.1f of %.0f MiB in use; %d hits, %d misses, %d evicted\n",
		s.File, float64(s.FileBytes)/mebi, float64(s.UsedBytes)/mebi, float64(s.MaxBytes)/mebi, s.Hits, s.Misses, s.Evicted)
	if err == nil && s.WriteError != "" {
		_, err = fmt.Fprintln(w, "not written to disk:", s.WriteError)
	}
	return err
}

// anonymous names a credential for people.
func anonymous(id string) string {
	if id == "" {
		return "(anonymous)"
	}
	return id
}

// when is a time to come, for people; a zero one is never.
func when(t time.Time) string {
	switch {
	case t.IsZero():
		return "-"
	case time.Until(t) <= 0:
		return "now"
	}
	return "in " + until(t)
}
