package pluginhost

import (
	"context"
	"errors"
	"sync"
)

const reopenWorkers = 4 // Open calls at a time after a restart

// reopen opens instances again after a restart, a few at a time. One during
// whose calls the last process ended waits for its next call, so that it does not
// take the others down with it.
func (s *session) reopen(instances []*Instance) {
	work := make(chan *Instance)
	var workers sync.WaitGroup
	for range reopenWorkers {
		workers.Go(func() {
			for i := range work {
				s.reopenOne(i)
			}
		})
	}
	for _, i := range instances {
		if !i.suspect() {
			work <- i
		}
	}
	close(work)
	workers.Wait()
}

func (s *session) reopenOne(i *Instance) {
	if !s.p.hold(s) {
		return
	}
	defer s.p.release(s)
	_, err := i.open(s.ctx, s)
	switch {
	case err == nil || errors.Is(err, ErrClosed):
	case s.died(context.Background(), err):
		i.judge(s, true)
	default:
		s.log.Warn("cannot reopen", "instance", i.name, "err", i.named(err))
	}
}

// closeInstances closes what is open in s, in bounded time. The process is
// about to end anyway: errors say nothing new.
func (s *session) closeInstances() {
	ctx, cancel := context.WithTimeout(s.ctx, s.p.h.timing.closing)
	defer cancel()
	var wg sync.WaitGroup
	for i := range s.instances() {
		i.mu.Lock()
		id, here := i.id, i.session == s
		i.mu.Unlock()
		if here {
			wg.Go(func() { _ = s.plugin.Close(ctx, id) })
		}
	}
	wg.Wait()
}

// grant lets host calls that name id act for i; revoke ends that. An instance
// is known by its name, also while it is being opened, and by its id.
func (s *session) grant(id string, i *Instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[id] = i
}

// revoke leaves names alone that another instance has taken over, as happens
// when a new configuration replaces an old one.
func (s *session) revoke(i *Instance, ids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if s.known[id] == i {
			delete(s.known, id)
		}
	}
}

// instance returns the instance that a host call of this process names.
func (s *session) instance(id string) (*Instance, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.known[id]
	return i, ok
}

// instances returns those that are open or being opened in s.
func (s *session) instances() map[*Instance]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[*Instance]bool{}
	for _, i := range s.known {
		all[i] = true
	}
	return all
}
