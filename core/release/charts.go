package release

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/sluice-gitops/sluice/core/manifest/values"
	"github.com/sluice-gitops/sluice/core/tree"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Bounds of the charts that are kept: those used last, of 64 MiB at most as an
// archive and four times that as files. All together have no more than one may:
// usual charts have some 100 KB, so that all of them stay, and a few huge ones
// cannot fill the disk of the daemon.
const (
	chartsKept = 64
	chartFiles = 20_000
	chartMax   = 256 << 20
	chartsMax  = 256 << 20
)

// foundChart is a chart that was found, and perhaps pulled.
type foundChart struct {
	chart helm.Chart
	pin   Pinned
	info  ChartInfo
	// remembered says that nobody was asked for it.
	remembered bool
	files      *tree.Tree // nil until it is pulled
}

// find resolves the chart of a release. An exact version of a repository, and a
// chart of a tree that has not changed, are what they were before.
func (n *run) find(ctx context.Context) error {
	ref, info, key, err := n.chartRef(ctx)
	if err != nil {
		return fmt.Errorf("chart: %w", err)
	}
	if p := n.rec.Chart; key != "" && p.Key == key && p.Digest != "" {
		n.chart = foundChart{pin: p, remembered: true}
		n.chart.chart = helm.Chart{Ref: ref, Version: p.Version, Digest: p.Digest, Dependencies: p.Dependencies}
	} else {
		c, err := n.h.Helm.Resolve(ctx, ref)
		if err != nil {
			return fmt.Errorf("chart: %w", err)
		}
		c.Ref = ref // with what the plugin does not send back
		n.chart = foundChart{chart: c, pin: Pinned{Key: key, Version: c.Version, Digest: c.Digest, Dependencies: c.Dependencies}}
	}
	n.rec.Chart = n.chart.pin
	info.Version, info.Digest = n.chart.chart.Version, n.chart.chart.Digest
	if old := n.rec.Info; old.Digest == info.Digest { // read from its files before
		info.Name, info.AppVersion = cmp.Or(old.Name, info.Name), old.AppVersion
	}
	n.chart.info = info
	return nil
}

// chartRef is the declared chart as a plugin takes it. key stands for what it
// resolves to; it is empty if that may be something else the next time.
func (n *run) chartRef(ctx context.Context) (ref helm.ChartRef, info ChartInfo, key string, err error) {
	c := n.s.Chart
	ref = helm.ChartRef{
		KeepDependencies: c.KeepDependencies, IgnoreLock: c.IgnoreLock,
		Auth: c.Auth, Remotes: n.h.Remotes, Keyring: c.Keyring,
	}
	if c.Tree != nil {
		t, err := n.tree(ctx, c.Tree.Source)
		if err != nil {
			return ref, info, "", err
		}
		ref.Tree, ref.Path = t.Dir, c.Tree.Path
		info.From, info.Revision = c.Tree.Source+" "+c.Tree.Path, t.Revision
		if t.Digest != "" {
			key = keyOfChart("tree", t.Digest, c)
		}
		return ref, info, key, nil
	}
	ref.Repository, ref.Name, ref.Version = c.Repository, c.Name, c.Version
	info.From, info.Name = c.Repository, c.Name
	if _, err := semver.StrictNewVersion(strings.TrimPrefix(c.Version, "v")); err == nil {
		key = keyOfChart("repository", "", c)
	}
	if c.AuthFrom != nil && n.h.Secret != nil {
		ref.Auth.Username, ref.Auth.Password, err = n.auth(ctx, c.AuthFrom, c.Repository)
		n.hide(ref.Auth.Password.Reveal())
	}
	return ref, info, key, err
}

func keyOfChart(kind, tree string, c Chart) string {
	path := ""
	if c.Tree != nil {
		path = c.Tree.Path
	}
	return short(fmt.Appendf(nil, "%s %s %q %q %q %q %q %t %t", kind, tree, path, c.Repository, c.Name, c.Version, c.Keyring, c.KeepDependencies, c.IgnoreLock), 32)
}

// auth reads the user name and password for a repository from a Secret.
func (n *run) auth(ctx context.Context, from *ObjectKey, repository string) (user string, password secret.Secret, err error) {
	read := func(key string) (secret.Secret, error) { return n.h.Secret(ctx, from.Namespace, from.Name, key) }
	name, err := read("username")
	if err == nil {
		user = name.Reveal()
		password, err = read("password")
	} else if errors.Is(err, ErrNoValues) {
		var config secret.Secret
		if config, err = read(".dockerconfigjson"); err == nil {
			user, password, err = dockerAuth(config, repository)
		}
	}
	switch {
	case errors.Is(err, ErrNoValues):
		err = fmt.Errorf("the Secret %s/%s has neither username and password nor .dockerconfigjson: %w", from.Namespace, from.Name, err)
	case err != nil:
		err = fmt.Errorf("the Secret %s/%s: %w", from.Namespace, from.Name, err)
	}
	return user, password, err
}

// dockerAuth finds the entry of a pull secret for the server of a repository.
func dockerAuth(config secret.Secret, repository string) (user string, password secret.Secret, err error) {
	u, err := url.Parse(repository)
	if err != nil {
		return "", secret.Secret{}, errors.New("the repository is no URL")
	}
	var file struct {
		Auths map[string]struct {
			Username string        `json:"username"`
			Password secret.Secret `json:"password"`
			Auth     []byte        `json:"auth"`
		} `json:"auths"`
	}
	if json.Unmarshal([]byte(config.Reveal()), &file) != nil {
		return "", secret.Secret{}, errors.New(".dockerconfigjson is not what its name says")
	}
	for host, entry := range file.Auths {
		_, plain, ok := strings.Cut(host, "://")
		if !ok {
			plain = host
		}
		if plain, _, _ = strings.Cut(plain, "/"); plain != u.Host {
			continue
		}
		if user, pass, ok := strings.Cut(string(entry.Auth), ":"); ok {
			return user, secret.New(pass), nil
		}
		return entry.Username, entry.Password, nil
	}
	return "", secret.Secret{}, fmt.Errorf(".dockerconfigjson has no entry for %s", u.Host)
}

// key is what the files of a chart are kept by. A signature is checked, and a
// private repository opened, when a chart is pulled: so that the digest alone,
// which others may know, does not lead to it.
func (c *foundChart) key() string {
	ref := c.chart.Ref
	return "chart " + c.chart.Digest + " " + short(fmt.Appendf(nil, "%q %q %q %q %q %q %q %q",
		ref.Repository, ref.Name, ref.Keyring, ref.Auth.Username, ref.Auth.Password.Reveal(), ref.Auth.CA, ref.Auth.Cert, ref.Auth.Key.Reveal()), 32)
}

// pullError is an error of a pull and not of the store.
type pullError struct{ error }

// pull sees to it that the chart's files are there, and returns their directory.
func (n *run) pull(ctx context.Context) (dir string, err error) {
	c := &n.chart
	if c.files != nil {
		return c.files.Dir, nil
	}
	key := c.key()
	files, err := n.r.charts.Put(ctx, key, func(ctx context.Context, dir string) error {
		if err := n.h.Helm.Pull(ctx, c.chart, dir); err != nil {
			return pullError{err}
		}
		return nil
	})
	if err != nil {
		if c.remembered { // it may not be there any more: ask the next time
			n.rec.Chart = Pinned{}
		}
		if pulled, ok := errors.AsType[pullError](err); ok {
			err = pulled.error
		}
		return "", fmt.Errorf("chart: %w", err)
	}
	c.files = files
	n.release = append(n.release, files.Release)
	c.read()
	return files.Dir, nil
}

// read takes from the chart's own file what people know it by. Whether that is
// a good one, the plugin says.
func (c *foundChart) read() {
	text, err := readBelow(c.files.Dir, "Chart.yaml")
	if err != nil {
		return
	}
	meta, err := values.Parse(text)
	if err != nil {
		return
	}
	if name, ok := meta["name"].(string); ok {
		c.info.Name = name
	}
	if version := meta["appVersion"]; version != nil {
		c.info.AppVersion = fmt.Sprint(version)
	}
}
