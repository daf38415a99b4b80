package credentials

import (
	"context"
	"time"

	"github.com/sluice-gitops/sluice/sdk/registry"
)

// instance is an open handle. It is closed once it is retired and nobody uses
// it. Guarded by the issuer's mutex.
type instance struct {
	handle       Handle
	forConsumers bool
	users        int
	retired      bool
}

// acquire returns the instance, which is opened if need be, for a call. The
// caller owes it a release.
func (s *issuer) acquire(ctx context.Context) (*instance, error) {
	for {
		in, wait, err := s.tryAcquire()
		if wait == nil {
			return in, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *issuer) tryAcquire() (*instance, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.unlock()
	switch {
	case s.retired:
		return nil, nil, errRetired
	case s.instance != nil:
		s.instance.users++
		return s.instance, nil, nil
	case s.openErr != nil && time.Now().Before(s.openTill):
		return nil, nil, s.openErr
	}
	return nil, s.open(), nil
}

func (s *issuer) release(in *instance) {
	s.mu.Lock()
	defer s.unlock()
	in.users--
	switch {
	case in.users > 0:
	case in.retired:
		s.close(in)
	default:
		s.idle.Reset(s.b.o.Idle)
	}
}

// open opens the instance, unless that is under way, and returns what to wait
// for.
func (s *issuer) open() <-chan struct{} {
	if s.opening != nil {
		return s.opening
	}
	done := make(chan struct{})
	if !s.b.tasks.begin() {
		s.retired = true
		close(done)
		return done
	}
	s.opening = done
	open := s.provider.Open
	go func() {
		defer s.b.tasks.end()
		ctx, cancel := context.WithTimeout(s.b.ctx, openTimeout)
		defer cancel()
		h, err := open(ctx)
		s.opened(h, err, done)
	}()
	return done
}

// opened files how opening went.
func (s *issuer) opened(h Handle, err error, done chan struct{}) {
	s.mu.Lock()
	defer s.unlock()
	defer close(done)
	s.opening = nil
	switch {
	case err != nil && s.b.ctx.Err() != nil: // nobody will ask
	case err != nil:
		s.openings++
		delay := retryDelay(err, s.openings, s.b.o.Rand())
		s.openErr, s.openTill = s.named(err), time.Now().Add(delay)
		s.logFailure("cannot open a provider of registry credentials", s.openErr, s.openings, delay)
		if s.openings == manyFailures && !s.known { // otherwise the answers tell
			s.note(Failing, true, s.openErr.Error())
		}
	case s.retired:
		s.close(&instance{handle: h})
	default:
		if s.openings >= manyFailures && !s.known {
			s.note(Recovered, false, "its plugin works again")
		}
		s.openErr, s.openings = nil, 0
		s.adopt(h)
	}
}

// adopt makes h the instance. If it turns out to answer for consumers where
// the one before did not, or the other way round, nothing that is cached fits.
func (s *issuer) adopt(h Handle) {
	in := &instance{handle: h, forConsumers: h.Has(registry.ForConsumers)}
	if s.known && s.forConsumers != in.forConsumers {
		for _, a := range s.answers {
			s.drop(a)
		}
		clear(s.refusals)
	}
	s.known, s.forConsumers, s.lists = true, in.forConsumers, h.Has(registry.CanListTags)
	s.instance = in
	if s.idle == nil {
		s.idle = s.b.tasks.after(s.b.o.Idle, s.rest)
	} else {
		s.idle.Reset(s.b.o.Idle)
	}
}

// rest closes the instance if it has nothing to do now nor soon.
func (s *issuer) rest() {
	s.mu.Lock()
	defer s.unlock()
	if s.instance == nil || s.instance.users > 0 {
		return // release sets the timer
	}
	now := time.Now()
	for _, a := range s.answers {
		if a.alive(now) && a.used && a.refresh.Before(now.Add(s.b.o.Idle)) {
			s.idle.Reset(s.b.o.Idle)
			return
		}
	}
	s.b.log.Debug("closing an idle provider of registry credentials", "provider", s.address)
	s.dismiss()
}

// dismiss has the instance closed once its calls have ended.
func (s *issuer) dismiss() {
	in := s.instance
	if in == nil {
		return
	}
	s.instance = nil
	s.idle.Stop()
	in.retired = true
	if in.users == 0 {
		s.close(in)
	}
}

// close closes in without waiting for it. The broker waits for it, even when
// it is being closed itself.
func (s *issuer) close(in *instance) {
	s.b.tasks.always()
	go func() {
		defer s.b.tasks.end()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.b.ctx), closeTimeout)
		defer cancel()
		if err := in.handle.Close(ctx); err != nil {
			s.b.log.Warn("cannot close a provider of registry credentials", "provider", s.address, "err", err)
		}
	}()
}

// retire takes the issuer out of service. Calls under way end by themselves.
func (s *issuer) retire() {
	s.mu.Lock()
	defer s.unlock()
	s.retired = true
	for _, a := range s.answers {
		s.drop(a)
	}
	s.dismiss()
}

// configure replaces what may change while the key stays.
func (s *issuer) configure(p Provider) {
	s.mu.Lock()
	defer s.unlock()
	s.provider = p
}
