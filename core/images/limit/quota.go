package limit

import (
	"fmt"
	"math"
	"time"
)

// quota is a number of requests that the registry announced, as far as its
// answers tell; the zero quota is none.
type quota struct {
	limit     int
	remaining int // before the requests that are under way
	flying    int // requests that count, under way
	reset     time.Time
	serial    uint64 // of the turn whose answer told
}

// learn takes over what an answer says. The ones that are still under way may
// be counted in it or not; they are taken as not.
func (q *quota) learn(h hints, serial uint64, now time.Time) {
	if serial < q.serial && q.reset.After(now) { // overtaken by a later one
		h.remaining = min(h.remaining, q.remaining)
	}
	q.limit, q.remaining, q.reset = max(h.limit, h.remaining), h.remaining, h.reset
	q.serial = max(q.serial, serial)
}

// holds returns until when requests that count must wait, because the rest of
// the quota is for others; zero if they need not.
func (q *quota) holds(now time.Time, reserve float64) time.Time {
	if q.limit == 0 || !q.reset.After(now) || q.remaining-q.flying > q.reserved(reserve) {
		return time.Time{}
	}
	return q.reset
}

func (q *quota) reason(reserve float64) string {
	return fmt.Sprintf("%d of %d requests are left in this window, %d are kept for others", q.remaining, q.limit, q.reserved(reserve))
}

func (q *quota) reserved(reserve float64) int { return int(math.Ceil(reserve * float64(q.limit))) }

func (q *quota) announced(now time.Time, reserve float64) *Quota {
	if q.limit == 0 || !q.reset.After(now) {
		return nil
	}
	return &Quota{Limit: q.limit, Remaining: q.remaining, Reserved: q.reserved(reserve), Reset: q.reset.UTC()}
}
