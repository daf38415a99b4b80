package engine

import "fmt"

// countResources counts the objects of a sync's last run that declare releases,
// and says it once if nobody runs those. e.mu is held.
func (e *Engine) countResources(n *node) {
	s := n.sync
	s.resources = 0
	for _, o := range s.report.Objects {
		if o.Origin() != "" && declaresRelease(o.Ref) {
			s.resources++
		}
	}
	text := e.unfollowed(n)
	if text != "" && !s.unfollowed {
		e.publish(n, eventUnfollowed, text)
	}
	s.unfollowed = text != ""
}

// unfollowed says that n, a sync, applies custom resources that declare releases
// and that nobody runs; "" if there are none. e.mu is held.
func (e *Engine) unfollowed(n *node) string {
	if n.sync == nil || n.sync.resources == 0 {
		return ""
	}
	applier := n.sync.cfg.Applier
	if h := e.helmOf(applier); h != nil && h.helm.cfg.Resources {
		return ""
	} else if h != nil && !h.helm.cfg.Implicit {
		return "" // somebody has written that they are not to be followed
	}
	return fmt.Sprintf("%s applied, but nothing here runs the releases: declare helm \"helm\" %q { applier = %s }, unless another operator does",
		are(n.sync.resources, "HelmRelease"), nameOf(applier), applier)
}

// are is a number of things with its verb.
func are(n int, thing string) string {
	if n == 1 {
		return "1 " + thing + " is"
	}
	return fmt.Sprintf("%d %ss are", n, thing)
}
