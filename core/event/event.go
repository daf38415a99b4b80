// Package event tells what happened: typed events, in one order, to as many
// readers as like, live and from the past.
//
// A Bus numbers events and keeps the newest in memory; a Journal keeps more of
// them across restarts. Readers pull: each has a position of its own, so a
// slow one holds nobody up and costs no memory. One that falls behind what is
// kept goes on with the oldest event there is, and is told how many it missed.
package event

import (
	"log/slog"
	"maps"
	"time"
)

// Severity tells how much an event matters to a person.
type Severity string

const (
	Info    Severity = "info"
	Warning Severity = "warning"
	Error   Severity = "error"
)

// Level is that of the log for an event of s.
func (s Severity) Level() slog.Level {
	switch s {
	case Warning:
		return slog.LevelWarn
	case Error:
		return slog.LevelError
	}
	return slog.LevelInfo
}

// Event is something that happened. It holds no secrets.
type Event struct {
	Seq      uint64    `json:"seq"`                // its place in the order, from 1; grows by restarts, too
	Time     time.Time `json:"time"`               // when it was published, unless the publisher knew better
	Node     string    `json:"node,omitempty"`     // the declaration it is about: sync.shop
	Severity Severity  `json:"severity"`           //
	Reason   string    `json:"reason"`             // a word for programs: applied, pruned, suspended
	Message  string    `json:"message"`            // a sentence for people
	Revision string    `json:"revision,omitempty"` // that the node was at
	Object   string    `json:"object,omitempty"`   // as applier.Ref prints it: shop:deployment.apps/web

	// Attrs are further facts, by name.
	Attrs map[string]string `json:"attrs,omitempty"`

	// Lost is the number of events before this one that the reader asked for
	// and that are kept no more. It is set for readers, not by publishers.
	Lost uint64 `json:"lost,omitempty"`
}

// copied returns e with maps of its own, so that neither a publisher nor a
// reader can change what others see.
func (e Event) copied() Event {
	e.Attrs = maps.Clone(e.Attrs)
	return e
}

// Journal keeps events on disk. state.Ring is one.
type Journal interface {
	// Append adds encoded events with sequence numbers from first on.
	Append(first uint64, entries [][]byte) error
	// Read calls fn for up to limit entries above after, in order.
	Read(after uint64, limit int, fn func(seq uint64, data []byte) error) error
	// Last returns the highest number appended or reserved.
	Last() (uint64, error)
	// Reserve promises that Last returns at least seq from now on, even after
	// a crash; a lower seq gives back what was reserved and not appended.
	Reserve(seq uint64) error
}
