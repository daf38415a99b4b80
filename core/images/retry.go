package images

import (
	"context"
	"time"

	"github.com/sluice-gitops/sluice/core/credentials"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// secrets are what a credential authenticates with: a new value may be let in
// where the old one was refused, although the ID is the same.
type secrets struct {
	username        string
	password, token secret.Secret
}

func secretsOf(c credentials.Credential) *secrets {
	return &secrets{c.Username, c.Password, c.IdentityToken}
}

// Retry makes everything due soon that has failed, as after registries or
// credentials were configured anew. What is well is left alone. It does not
// block.
func (s *Scanner) Retry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.retry()
	}
}

// retry does what Retry says. s.mu is held.
func (s *Scanner) retry() {
	var failed []*repository
	for _, r := range s.repos {
		if r.flight != nil {
			r.flight.retry = true
		}
		if r.note.Failures > 0 || r.trouble != nil {
			failed = append(failed, r)
		}
	}
	n := len(failed)
	for _, sub := range s.subjects {
		if sub.repo == nil && sub.err != nil {
			n++
			s.table.Postpone(subjectKey(sub), s.spread(n))
		}
	}
	for _, r := range failed {
		wait := s.spread(n)
		list := wait
		if r.note.Failures == 0 { // only images could not be read
			list = max(time.Until(r.listAt), 0)
		}
		s.postpone(r, list, min(list, wait))
	}
}

// glance returns when to look whether there is another credential for r, if that
// may help and is before r is listed, which is due after wait. s.mu is held.
func (s *Scanner) glance(r *repository, wait time.Duration) time.Duration {
	if r.note.Failures == 0 || !r.note.Problem.curable() {
		return wait
	}
	return min(wait, s.spreadOver(s.settings.Interval))
}

// lookSoon has r reconsidered, if it has failed and somebody still sees it. s.mu
// is held.
func (s *Scanner) lookSoon(r *repository) {
	if len(r.subjects) > 0 && r.flight == nil && r.note.Failures > 0 && r.note.Problem.curable() {
		s.table.Postpone(repositoryKey(r.key), s.spread(1))
	}
}

// reconsider looks whether those who see r have other credentials by now than
// the one that failed, and has it listed with them.
func (s *Scanner) reconsider(ctx context.Context, r *repository) {
	s.mu.Lock()
	parties := r.parties()
	s.mu.Unlock()
	changed := false
	for _, sub := range parties {
		cred, err := s.opts.Credentials.Look(ctx, sub.req)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			continue // there is nothing to try
		}
		s.mu.Lock()
		switch {
		case s.closed || sub.repo != r:
		case cred.ID != r.key.Credential:
			s.place(sub, cred.ID)
		case r.tried == nil || *r.tried != *secretsOf(cred):
			changed = true
		}
		s.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(r.subjects) == 0 || r.flight != nil {
		return
	}
	wait := max(time.Until(r.listAt), 0)
	if changed {
		wait = 0
	}
	s.postpone(r, wait, s.glance(r, wait))
}
