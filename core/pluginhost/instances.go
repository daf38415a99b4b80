package pluginhost

import (
	"context"
	"errors"
	"maps"
	"slices"
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
	ctx, cancel := context.WithTimeout(context.Background(), s.p.h.timing.closing)
	defer cancel()
	var wg sync.WaitGroup
	for _, i := range s.instances() {
		if in, id := i.openedIn(); in == s {
			wg.Go(func() { _ = s.plugin.Close(ctx, id) })
		}
	}
	wg.Wait()
}

// grant lets the process make host calls for i; revoke ends that.
func (s *session) grant(i *Instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.granted[i] = true
}

func (s *session) revoke(i *Instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.granted, i)
}

// instances returns those that are open or being opened in s.
func (s *session) instances() []*Instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.granted))
}

// instance returns the instance that a host call of this process names, by its
// id or, as it may be only just being opened, by its name. Two have the same
// name while a new configuration replaces an old one.
func (s *session) instance(id string) (*Instance, bool) {
	for _, i := range s.instances() {
		in, itsID := i.openedIn()
		if id != "" && (id == i.name || in == s && id == itsID) {
			return i, true
		}
	}
	return nil, false
}
