package pluginhost

import (
	"fmt"
	"time"
)

// blame is what an instance has to answer for: the plugin's process ended
// during its calls. One instance that takes the process down each time must
// not keep the others from working, so it is held back for longer and longer,
// while the process comes back at once. Instances that were merely called at
// the same time are cleared by their next success.
type blame struct {
	in    *session // the last that ended
	times int      // in a row
	until time.Time
}

// judge records the outcome of a call in s.
func (i *Instance) judge(s *session, died bool) {
	if died {
		i.p.mu.Lock()
		s.blamed = true
		i.p.mu.Unlock()
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case !died:
		i.blame = blame{}
	case i.blame.in != s: // several calls may tell of the same end
		tm := i.p.h.timing
		i.blame.in = s
		if i.blame.times++; i.blame.times > 1 { // once is nothing
			i.blame.until = time.Now().Add(double(tm.backoffMin, tm.backoffMax, i.blame.times-2))
		}
	}
}

// heldBack returns an error while the instance may not be called.
func (i *Instance) heldBack() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if time.Now().Before(i.blame.until) {
		return fmt.Errorf("held back until %s, since the plugin ended during the last %d calls (%s): %w",
			i.blame.until.Format(time.TimeOnly), i.blame.times, i.blame.in.exit(), ErrPluginExited)
	}
	return nil
}

// suspect tells whether the last process ended during a call.
func (i *Instance) suspect() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.blame.times > 0
}
