package gate

import (
	"cmp"
	"slices"
	"time"

	"github.com/sluice-gitops/sluice/core/state"
)

// BrakeTime is for how long an image that automation has written, or replaced,
// is not written to the same place by it again.
const BrakeTime = time.Hour

// Written is an image that automation has put in the place of another.
type Written struct {
	Subject string // where: the same whenever it is written there
	From    string // what it replaced; empty if that is not known
	To      string
	At      time.Time
}

// writings are the images that were written to one subject, or replaced there,
// by the time when each was last.
type writings map[string]time.Time

// maxWritings bounds what is remembered of one subject: whoever writes more
// different images in BrakeTime does not write the same again and again.
const maxWritings = 16

// Wrote remembers what was written. It is on disk when Wrote returns. What is
// older than BrakeTime is forgotten on the way.
func (k *Keeper) Wrote(list ...Written) error {
	if len(list) == 0 {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	changes := k.sweep(list[len(list)-1].At)
	for _, w := range list {
		next := k.written[w.Subject].with(w)
		k.written[w.Subject] = next
		changes = append(changes, writingRecords.Change(w.Subject, next))
	}
	return k.store.Write(changes)
}

// sweep forgets the subjects to which nothing was written for long. It looks at
// all of them, but only once in BrakeTime.
func (k *Keeper) sweep(now time.Time) (changes []state.Change) {
	if now.Sub(k.swept) < BrakeTime {
		return nil
	}
	k.swept = now
	for subject, w := range k.written {
		if w.since(now) == nil {
			delete(k.written, subject)
			changes = append(changes, writingRecords.Removal(subject))
		}
	}
	return changes
}

// since returns what of w is not older than BrakeTime, nil if nothing is.
func (w writings) since(now time.Time) (recent writings) {
	for image, at := range w {
		if now.Sub(at) >= BrakeTime {
			continue
		}
		if recent == nil {
			recent = writings{}
		}
		recent[image] = at
	}
	return recent
}

// with returns w with one writing more, and without what is too old or too much.
func (w writings) with(added Written) writings {
	next := w.since(added.At)
	if next == nil {
		next = writings{}
	}
	if added.From != "" {
		next[added.From] = added.At
	}
	next[added.To] = added.At
	images := make([]string, 0, len(next))
	for image := range next {
		images = append(images, image)
	}
	slices.SortFunc(images, func(a, b string) int { return cmp.Or(next[b].Compare(next[a]), cmp.Compare(a, b)) })
	for _, image := range images[min(len(images), maxWritings):] {
		delete(next, image)
	}
	return next
}

// LastWritten tells when automation has last written the image to the subject,
// or replaced it there, if that is less than BrakeTime ago: writing it again
// would be one round of a circle.
func (k *Keeper) LastWritten(subject, image string, now time.Time) (at time.Time, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	at, ok = k.written[subject][image]
	return at, ok && now.Sub(at) < BrakeTime
}

// ForgetWritten lets images be written again, at once and everywhere, since a
// person wants it.
func (k *Keeper) ForgetWritten(image func(string) bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var changes []state.Change
	for subject, w := range k.written {
		next := writings{}
		for i, at := range w {
			if !image(i) {
				next[i] = at
			}
		}
		if len(next) < len(w) {
			k.written[subject] = next
			changes = append(changes, writingRecords.Change(subject, next))
		}
	}
	if len(changes) == 0 {
		return nil
	}
	return k.store.Write(changes)
}
