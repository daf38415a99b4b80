package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/images/ref"
)

// selectFlags are what images select is asked.
type selectFlags struct {
	policy, current, tags string
	minAge, digest, now   string
	platforms             []string
	downgrade             bool
}

func newImagesSelect(a *app) *cobra.Command {
	var f selectFlags
	cmd := &cobra.Command{
		Use:   "select --policy PATTERN --tags FILE",
		Short: "Tell which tag a policy selects, and why (no daemon needed)",
		Long: `Tell which of the tags in FILE a policy selects, and of each tag what took or
refused it. FILE, or standard input with -, is a list of objects in JSON:

  [{"tag": "1.2.0", "created": "2026-01-31T12:00:00Z", "digest": "sha256:...",
    "platforms": ["linux/amd64"]}]

Only tag is required. created, in RFC 3339, is what policies by time and
--min-age go by.

PATTERN is what an annotation sluice.dev/tag.CONTAINER holds:

  glob:master-*                    by time; * is any run
  regexp:^v[0-9]+$                 by time
  semver:~1.27                     by version
  semver:~1.27 from ^(.+)-alpine$  by the version that the group finds
  numeric:^build-([0-9]+)$         by the number that the group finds
  calver:YYYY.0M.0D[-MICRO]        by date; the words are those of calver.org

Options follow the kind: "numeric,desc,ties=newest:RE". There are asc and desc,
and ties=names, longest, newest or refuse for tags that are equal.

--current is the reference that would be replaced; a word without any of / : @
is a tag. Nothing is selected that is older, by the order of the policy: then
selected is the tag of --current if the policy takes it, and else empty.

Exits with 0 when it could be told, whether a tag is selected or not, with 2
when it could not, as with a pattern that is not valid: error says why.`,
		Example: `  sluice images select --policy 'semver:^1' --current nginx:1.27.0 --tags tags.json
  sluice images select --policy 'numeric:^main-[0-9a-f]+-([0-9]+)$' --tags - -o json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.selectImage(f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.policy, "policy", "", "the pattern (required)")
	fl.StringVar(&f.tags, "tags", "", "file with the tags that there are, - for standard input (required)")
	fl.StringVar(&f.current, "current", "", "the reference that runs, or its tag; without it every tag is newer")
	fl.StringVar(&f.minAge, "min-age", "", "how old an image must be, such as 36h or 3d")
	fl.StringSliceVar(&f.platforms, "platform", nil, "what an image must be made for, such as linux/amd64; may be repeated")
	fl.BoolVar(&f.downgrade, "allow-downgrade", false, "also select what is older than the current one")
	fl.StringVar(&f.digest, "digest", "", "what becomes of a digest: keep, pin or drop (default keep)")
	fl.StringVar(&f.now, "now", "", "the time that --min-age counts from, in RFC 3339 (default: the clock)")
	_ = cmd.MarkFlagRequired("policy")
	_ = cmd.MarkFlagRequired("tags")
	_ = cmd.RegisterFlagCompletionFunc("digest", cobra.FixedCompletions([]string{"keep", "pin", "drop"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// selected is the outcome for programs.
type selected struct {
	Selected string           `json:"selected"`
	Error    string           `json:"error"`
	Tags     []policy.Verdict `json:"tags"`
}

func (a *app) selectImage(f selectFlags) error {
	rules, in, err := f.read()
	if err != nil {
		return err
	}
	if in.Tags, err = a.readTags(f.tags); err != nil {
		return err
	}
	s := rules.Select(in)
	err = a.view(selected{cmp.Or(s.Selected, kept(in, s)), s.Error, s.Tags}, func(w io.Writer) error { return writeSelection(w, rules, in, s) })
	if err == nil && s.Error != "" {
		return exitCode(ExitChanges)
	}
	return err
}

// kept is the current tag if it stays because the policy takes it and nothing
// that is better, "" otherwise.
func kept(in policy.Input, s policy.Selection) string {
	stays := slices.ContainsFunc(s.Tags, func(v policy.Verdict) bool { return v.Accepted && v.Tag == in.Current.Tag })
	if s.Selected != "" || s.Error != "" || !stays {
		return ""
	}
	return in.Current.Tag
}

// read returns all that the flags say. A pattern that is not valid is for Select
// to tell.
func (f selectFlags) read() (policy.Rules, policy.Input, error) {
	rules := policy.Rules{Source: "--policy", Downgrade: f.downgrade}
	in := policy.Input{Complete: true, Now: time.Now()}
	var err error
	rules.Policy, rules.Err = policy.Parse(f.policy)
	if f.minAge != "" {
		if rules.MinAge, err = policy.ParseAge(f.minAge); err != nil {
			return rules, in, fmt.Errorf("--min-age: %w", err)
		}
	}
	if len(f.platforms) > 0 {
		if rules.Platforms, err = policy.ParsePlatforms(strings.Join(f.platforms, ",")); err != nil {
			return rules, in, fmt.Errorf("--platform: %w", err)
		}
	}
	if f.digest != "" {
		if rules.Digest, err = policy.ParseDigestMode(f.digest); err != nil {
			return rules, in, fmt.Errorf("--digest: %w", err)
		}
	}
	if f.now != "" {
		if in.Now, err = time.Parse(time.RFC3339, f.now); err != nil {
			return rules, in, withHint(fmt.Errorf("--now %q is no time", f.now), "write it in RFC 3339: 2026-01-31T12:00:00Z")
		}
	}
	if in.Current, err = currentRef(f.current); err != nil {
		return rules, in, fmt.Errorf("--current: %w", err)
	}
	return rules, in, nil
}

// currentRef reads a reference, or a tag alone.
func currentRef(text string) (ref.Ref, error) {
	if text == "" {
		return ref.Ref{}, nil
	}
	if !strings.ContainsAny(text, "/:@") {
		text = "image:" + text
	}
	return ref.Parse(text)
}

// maxTagsFile bounds what is read: it is more than any registry has.
const maxTagsFile = 256 << 20

// readTags reads a file of tags, standard input if it is "-".
func (a *app) readTags(file string) ([]policy.Tag, error) {
	name, in := file, a.In
	if file == "-" {
		name = "standard input"
	} else {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close() //nolint:errcheck // it is only read
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxTagsFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	case len(data) > maxTagsFile:
		return nil, fmt.Errorf("%s: more than %d MiB", name, maxTagsFile>>20)
	}
	tags, err := parseTags(data)
	var at *tagError
	if errors.As(err, &at) {
		return nil, withHint(fmt.Errorf("%s:%w", name, err), `it must be [{"tag": "1.2.0", "created": "2026-01-31T12:00:00Z", "digest": "sha256:..."}, ...]`)
	}
	return tags, err
}

// writeSelection writes a table, and what came of it.
func writeSelection(w io.Writer, rules policy.Rules, in policy.Input, s policy.Selection) error {
	created := map[string]time.Time{}
	for _, t := range in.Tags {
		created[t.Tag] = t.Created
	}
	err := table(w, "TAG\tCREATED\tACCEPTED\tREASON", func(row func(...any)) {
		for _, v := range s.Tags {
			at, accepted := "", "no"
			if t := created[v.Tag]; !t.IsZero() {
				at = t.UTC().Format(time.RFC3339)
			}
			if v.Accepted {
				accepted = "yes"
			}
			row(v.Tag, at, accepted, v.Reason)
		}
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\n%s\n", visible(conclusion(rules, in, s)))
	return err
}

// conclusion is the outcome in one line.
func conclusion(rules policy.Rules, in policy.Input, s policy.Selection) string {
	switch {
	case s.Error != "":
		return "error: " + s.Error
	case kept(in, s) != "":
		return fmt.Sprintf("selected: %s, which is the current one: %s", kept(in, s), s.Reason)
	case s.Selected == "":
		return "selected: nothing: " + cmp.Or(s.Reason, "nothing fits")
	case in.Current.Name() == "" || in.Current.Name() == "image":
		return "selected: " + s.Selected
	case s.NeedsDigest:
		return fmt.Sprintf("selected: %s, with its digest, which FILE does not tell", in.Current.WithTag(s.Selected))
	}
	return "selected: " + rules.Target(in.Current, s).String()
}
