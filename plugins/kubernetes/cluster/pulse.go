package cluster

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

const (
	shortOutage = 5 * time.Second // one that nobody needs to know of: a restart, a lost connection
	probeLimit  = 5 * time.Second // of a request that only asks for an answer
)

// pulse knows whether the API server answers, as far as requests have told.
type pulse struct {
	log hclog.Logger // may be nil

	mu      sync.Mutex
	since   time.Time // of the first request without an answer after one that had one; zero: it answers
	err     error     // of the last one
	probing bool
}

// saw takes note of what came of a request: err says that there was no answer.
func (p *pulse) saw(err error) {
	p.mu.Lock()
	before := p.since
	switch {
	case err == nil:
		p.since = time.Time{}
	case p.since.IsZero():
		p.since = time.Now()
	}
	p.err = err
	p.mu.Unlock()
	switch {
	case p.log == nil:
	case err != nil && before.IsZero():
		p.log.Warn("the API server does not answer; requests are repeated for a while", "error", err)
	case err == nil && !before.IsZero():
		p.log.Info("the API server answers again", "after", time.Since(before).Round(time.Second))
	}
}

// away returns since when there has been no answer, and why; a zero time if there
// is, or has been none for a moment only.
func (p *pulse) away() (since time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since.IsZero() || time.Since(p.since) < shortOutage {
		return time.Time{}, nil
	}
	return p.since, p.err
}

// claim reports whether the caller is to ask for an answer, since there is none
// and nobody else asks. The caller then owes a call of done.
func (p *pulse) claim() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.since.IsZero() || p.probing {
		return false
	}
	p.probing = true
	return true
}

func (p *pulse) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.probing = false
}

// Answers returns why the API server does not answer, and since when; nil if it
// does, as far as requests have told. It returns at once. As long as there is no
// answer each call has the server asked once more meanwhile, so that its return is
// seen also if nobody else wants anything of it.
func (c *Client) Answers() error {
	c.mu.Lock()
	if !c.closed && c.pulse.claim() {
		c.probes.Go(func() {
			defer c.pulse.done()
			c.probe()
		})
	}
	c.mu.Unlock()
	since, err := c.pulse.away()
	if since.IsZero() {
		return nil
	}
	return fmt.Errorf("the API server %s does not answer since %s: %w", c.Host, since.UTC().Format(time.RFC3339), err)
}

// probe sends a request that any server answers, if only by refusing it. What
// comes of it is seen by the transport.
func (c *Client) probe() {
	ctx, cancel := context.WithTimeout(c.life, probeLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base.JoinPath("version").String(), nil)
	if err != nil {
		return // not of the server's making
	}
	if resp, err := c.http.Do(req); err == nil {
		_ = resp.Body.Close()
	}
}
