// Package charts finds a source for the charts that custom resources name by the
// URL of a git repository: one that a block declares, or one of their own, shared
// by all that name the same.
//
// Who may write a resource is not trusted with more than that: a declared source
// that has credentials is not lent unless it is offered, and the id of a source of
// its own is the whole of a digest, so that nobody finds another one's repository
// under the same name.
package charts

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/digest"
	"github.com/sluice-gitops/sluice/core/engine/mirror"
	"github.com/sluice-gitops/sluice/core/release/resource"
)

// Repository is the git repository of a source that a block declares.
type Repository struct {
	source, original         string
	URL, Branch, Tag, Commit string
	private                  bool // it has credentials
}

// RepositoryOf reads what a source is configured with. original is the URL that a
// mirror stands in for, if one does. ok is false if it is of no git repository.
func RepositoryOf(source string, p config.PluginConfig, original string) (r Repository, ok bool) {
	cfg := struct {
		Repository
		Auth, SSH, TLS json.RawMessage
	}{}
	if p.Type != "git" || json.Unmarshal(p.JSON, &cfg) != nil {
		return Repository{}, false
	}
	r = cfg.Repository
	r.source, r.original = source, original
	r.private = slices.ContainsFunc([]json.RawMessage{cfg.Auth, cfg.SSH, cfg.TLS}, func(block json.RawMessage) bool {
		return len(block) > 0 && string(block) != "null"
	})
	return r, true
}

// Declared returns the source of the first of the repositories that serves git,
// "" if none does. offered is the source that may be lent with its credentials.
func Declared(repositories []Repository, git resource.Git, offered string) (source string) {
	for _, r := range repositories {
		if r.private && r.source != offered {
			continue
		}
		if (mirror.Same(r.URL, git.URL) || mirror.Same(r.original, git.URL)) && (r.Branch == git.Ref || r.Tag == git.Ref || r.Commit == git.Ref) {
			return r.source
		}
	}
	return ""
}

// Charts change rarely.
const (
	interval = 5 * time.Minute
	timeout  = 5 * time.Minute
)

// Source is a repository that no block declares. It is not safe for concurrent
// use.
type Source struct {
	Git     resource.Git
	Applier string // that keeps Git.Secret

	tag bool // Git.Ref is looked for among the tags
}

// ID is the address of the source. It differs between appliers only where that
// means other credentials.
func (s *Source) ID() string {
	who := ""
	if s.Git.Secret != nil {
		who = s.Applier
	}
	return "source.git.charts-" + digest.Of(s.Git.URL, s.Git.Ref, s.Git.Secret, who)
}

// Block is the source as a block would declare it, but for what Config returns.
func (s *Source) Block() config.Source {
	id := s.ID()
	return config.Source{
		Block:    config.Block{Address: id, Type: "git", Name: strings.TrimPrefix(id, "source.git.")},
		Interval: interval, Timeout: timeout, Plugin: config.PluginConfig{Kind: "source", Type: "git"},
	}
}

// commitID is a full hash.
var commitID = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// Config is the configuration of the git plugin. auth has the credentials as they
// are now, nil if there are none.
func (s *Source) Config(auth map[string]string) (json.RawMessage, error) {
	cfg := map[string]any{"url": s.Git.URL}
	switch {
	case commitID.MatchString(s.Git.Ref):
		cfg["commit"] = s.Git.Ref
	case s.tag:
		cfg["tag"] = s.Git.Ref
	case s.Git.Ref != "":
		cfg["branch"] = s.Git.Ref
	}
	if auth != nil {
		cfg["auth"] = auth
	}
	return json.Marshal(cfg)
}

// Otherwise has the next Config of a source that was never found look for its ref
// among the tags instead of the branches, and the other way round. It reports
// whether that is worth doing at once: only when both have failed it is worth
// waiting.
func (s *Source) Otherwise() (atOnce bool) {
	if s.Git.Ref == "" || commitID.MatchString(s.Git.Ref) {
		return false
	}
	s.tag = !s.tag
	return s.tag
}

// Explain says which repository a failure is about, and what to do about it: who
// wrote a resource has no block to look at. mirrored is the URL that stands in for
// its own, and refused tells that the configuration is what is wrong.
func (s *Source) Explain(cause error, mirrored string, refused bool) string {
	where := "git repository " + s.Git.URL
	switch {
	case mirrored != "":
		where += fmt.Sprintf(" (%s stands in for it)", mirrored)
	case refused && mirror.IsSSH(s.Git.URL):
		cause = fmt.Errorf("over ssh it takes a key, which a resource cannot name. Declare source \"git\" \"NAME\" { url = %q, branch = %q, ssh { ... } } "+
			"and offer it to resources, by charts = source.git.NAME in the helm block; or have a mirror block stand in for it: %w", s.Git.URL, s.Git.Ref, cause)
	}
	return where + ": " + strings.Join(strings.Fields(cause.Error()), " ")
}
