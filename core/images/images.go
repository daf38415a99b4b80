package images

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/core/images/cache"
	"github.com/sluice-gitops/sluice/core/images/policy"
	"github.com/sluice-gitops/sluice/core/images/ref"
	"github.com/sluice-gitops/sluice/core/images/remote"
	"github.com/sluice-gitops/sluice/sdk/registry"
)

// Target is a container that runs, and what may replace its image.
type Target struct {
	Workload  string // as people name it: "shop:deployment/web"; unique with Applier and Container
	Container string
	Image     ref.Ref
	Consumer  credentials.Consumer
	Rules     *policy.Rules // nil: not under a policy
}

// Advised adds to the advice in an error about t for whom to follow it: without
// the workload it would be about the daemon itself.
func (t Target) Advised(text string) string {
	advice := "sluice credentials explain " + t.Image.CanonicalName()
	return strings.ReplaceAll(text, advice+")", advice+" -w "+t.Workload+")")
}

// Mode says which targets are scanned without being asked for.
type Mode string

const (
	Automated Mode = "automated" // those under a policy
	All       Mode = "all"
	None      Mode = "none"
)

// Settings say what is scanned and how often. The zero value scans what is
// under a policy, every five minutes.
type Settings struct {
	Scan     Mode          // default Automated
	Interval time.Duration // between two scans of a repository that has news; default 5 min
	// Include and Exclude are globs of canonical repository names, such as
	// "index.docker.io/library/*" or "docker.io/acme/*"; every spelling of
	// Docker Hub is accepted. Without Include all are included; Exclude wins.
	Include []string
	Exclude []string
	// TrustLabels are globs of repositories whose labels say when an image was
	// made: org.opencontainers.image.created, else
	// org.label-schema.build-date, in RFC 3339. They win over all other times.
	TrustLabels []string
}

func (s Settings) withDefaults() Settings {
	if s.Scan == "" {
		s.Scan = Automated
	}
	if s.Interval <= 0 {
		s.Interval = 5 * time.Minute
	}
	return s
}

// Credentials are asked which credential a target has; credentials.Broker is
// one.
type Credentials interface {
	Credential(ctx context.Context, req credentials.Request) (credentials.Credential, error)
	// Look is Credential for who will not use it.
	Look(ctx context.Context, req credentials.Request) (credentials.Credential, error)
	// Tags lists by the registry's own API; native is false, without an
	// error, where there is none.
	Tags(ctx context.Context, req credentials.Request, emit func(registry.Tag)) (native bool, err error)
}

// Client speaks to registries; remote.Client is one.
type Client interface {
	Tags(ctx context.Context, req credentials.Request, o remote.TagsOptions, emit func(registry.Tag)) (remote.Listing, error)
	Head(ctx context.Context, req credentials.Request, tag string) (digest string, err error)
	Image(ctx context.Context, req credentials.Request, ref string, o remote.ImageOptions) (cache.Image, error)
}

// Options configures a Scanner. Credentials, Client and Cache are required.
type Options struct {
	Settings    Settings
	Credentials Credentials
	Client      Client
	Cache       *cache.Cache
	Logger      *slog.Logger // default discards
	// Changed is told what a scan found, once the images that policies need
	// have been read, or could not be. It must return soon; it may be called
	// from several goroutines, for one repository from one at a time. A crash
	// may lose a call: look at everything after a start.
	Changed func(Change)

	// Turned is told the targets of a repository whose scans fail for the second
	// time in a row, and again when one succeeds. It is called in the way of
	// Changed.
	Turned func([]Target)

	Workers int // scans at once, for each registry host; default 4
	// Spread is the time within which first scans begin: by default 30 s, or
	// Interval if that is less, and of less than 300 of them 100 ms for each;
	// negative: at once.
	Spread time.Duration
	Rand   func() float64 // numbers in [0,1) for jitter; default math/rand/v2
}

// Change is news of a repository.
type Change struct {
	Repository string // canonical name
	Key        cache.Key
	At         time.Time
	First      bool     // the repository was listed for the first time: all tags are new
	New        []string // tags that were not there before
	Moved      []string // tags that name another image than before
	Vanished   []string // tags that are gone for certain
	Resolved   []string // older tags whose image was not known before
	Missing    int      // images that could not be read yet, see View.Missing
	Targets    []Target // that are concerned
}

// Result is the outcome of a scan that somebody asked for.
type Result struct {
	Repository string // canonical name
	Targets    []Target
	Tags       int    // in the listing that counts now
	New        int    // that were not there before
	Missing    int    // images that a policy needs and that could not be read
	Skipped    string // why no request was sent; empty: the repository was scanned
	Err        error
}
