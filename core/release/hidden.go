package release

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/sluice-gitops/sluice/core/manifest/values"
	"github.com/sluice-gitops/sluice/sdk/helm"
)

// What Secrets give changes: a password is replaced, and the old one, which may
// be good for a while, stands in the revision that is installed, in what a plan
// or a failure says of its objects. A Record tells where values came from Secrets;
// what they were stands in the revisions.

// maxPointers is how many places a Record tells. Beyond that, all values count.
const maxPointers = 1000

// hold notes that values came from Secrets at some places, now and before.
func (r Record) hold(pointers []string) Record {
	all := slices.Concat(r.Secrets, pointers)
	slices.Sort(all)
	if r.Secrets = slices.Compact(all); len(r.Secrets) > maxPointers || slices.Contains(r.Secrets, "") {
		r.Secrets = []string{""}
	}
	return r
}

// SecretsIn are the JSON pointers of what came from Secrets in a revision, where
// those of what is declared now are known: "", all of it, if nobody can tell.
func (r Record) SecretsIn(revision int, now []string) []string {
	if r.Digest == "" && revision != r.Last.Number { // what made it was not this record's
		return []string{""}
	}
	return r.hold(now).Secrets
}

// pointers are the places of values that come, or came, from Secrets.
func (n *run) pointers() []string {
	if n.values == nil {
		return n.rec.Secrets
	}
	return n.rec.hold(n.values.secrets()).Secrets
}

// hideInstalled keeps what came from Secrets, in the revisions that are there, out
// of the texts of the run from now on. Where nobody can tell what it was, objects
// are not shown.
func (n *run) hideInstalled(ctx context.Context) {
	pointers := n.pointers()
	if len(pointers) == 0 {
		return
	}
	for _, rev := range n.former() {
		if n.read[rev.Number] {
			continue
		}
		texts, err := n.h.textsAt(ctx, n.s.Ref, rev.Number, pointers)
		switch {
		case errors.Is(err, helm.ErrNotFound): // pruned meanwhile
		case err != nil:
			n.veiled = true
			return
		}
		n.hide(texts...)
		n.read[rev.Number] = true
	}
}

// Censor returns what takes the values of Secrets out of what Helm tells of a
// release: those that are declared now and, as far as rec tells, those that the
// revisions were made with, newest first. A text of which nobody can tell what in
// it is secret is replaced.
func (r *Runner) Censor(ctx context.Context, s Spec, h Host, rec Record, revisions []helm.Revision) func(text string) string {
	n := r.begin(&s, &h, rec, nil)
	defer n.end()
	reading := &reading{s: &s, h: &h, fetch: r.fetch, trees: n.tree, warn: n.warn, chart: n.findAndPull}
	if c, err := reading.compose(ctx); err == nil {
		n.values = c
		n.hide(c.secretTexts()...)
	}
	if len(revisions) > 0 {
		n.seen.Revision, n.seen.Past = revisions[0], revisions[1:]
		n.hideInstalled(ctx)
	}
	return func(text string) string {
		if n.veiled && text != "" {
			return notShown
		}
		return n.clean(text)
	}
}

// notShown stands for what may hold a secret that nobody knows.
const notShown = "(not shown: it cannot be told what in it came from a Secret)"

// former are the revisions that objects may be as they say, if they have other
// values than what is wanted.
func (n *run) former() (list []helm.Revision) {
	newest := n.seen.Revision
	candidates := []helm.Revision{newest}
	if i := slices.IndexFunc(n.seen.Past, func(r helm.Revision) bool {
		return r.Number < newest.Number && (r.Status == deployed || r.Status == superseded)
	}); i >= 0 {
		candidates = append(candidates, n.seen.Past[i])
	}
	for _, r := range candidates {
		d, ok := parseDigest(r.Digest)
		if r.Number > 0 && (!ok || d.Values != n.wanted.Digest.Values) {
			list = append(list, r)
		}
	}
	return list
}

// textsAt are the texts of the values at some places of a revision.
func (h *Host) textsAt(ctx context.Context, ref helm.ReleaseRef, number int, pointers []string) (texts []string, err error) {
	reader, ok := h.Helm.(helm.Reader)
	if !ok || !h.can(helm.CanRead) {
		return nil, errors.New("this helm cannot read revisions")
	}
	content, err := reader.Content(ctx, ref, number)
	if err != nil {
		return nil, err
	}
	v, err := values.Parse([]byte(content.Values.Reveal()))
	if err != nil {
		return nil, errors.New("its values cannot be read") // the error may quote them
	}
	for _, pointer := range pointers {
		texts = append(texts, textsIn(valueAt(v, pointer))...)
	}
	return texts, nil
}

// valueAt is the value that a JSON pointer leads to through objects, nil if there
// is none.
func valueAt(v any, pointer string) any {
	if pointer == "" {
		return v
	}
	for step := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		m, _ := v.(map[string]any)
		v = m[strings.NewReplacer("~1", "/", "~0", "~").Replace(step)]
	}
	return v
}
