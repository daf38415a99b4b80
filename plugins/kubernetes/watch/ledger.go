package watch

import (
	"maps"
	"sync"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// Record is what the ledger knows of an owned object: the hash of what was
// applied, where it lives, and the version that the apply led to.
type Record struct {
	Ref      applier.Ref
	Resource string
	UID      string
	Owned    string
	Version  string // resourceVersion of the answer; empty: not applied by this process
}

// Ledger holds the records of the owners that this process works for, so that
// watches learn of an apply at once. It is safe for concurrent use.
type Ledger struct {
	mu      sync.Mutex
	owners  map[string]*account
	watches map[string]map[*watcher]bool
}

type account struct {
	records map[applier.Ref]Record
	busy    int
}

// NewLedger returns an empty Ledger.
func NewLedger() *Ledger {
	return &Ledger{owners: map[string]*account{}, watches: map[string]map[*watcher]bool{}}
}

// Begin says that an apply or a deletion for owner runs. Until the returned
// function is called nothing counts as drift.
func (l *Ledger) Begin(owner string) (end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.account(owner).busy++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.account(owner).busy--
		l.wake(owner)
	}
}

// Post replaces the records of owner. A record without a Version keeps the one
// known for the same hash.
func (l *Ledger) Post(owner string, records []Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.account(owner)
	fresh := make(map[applier.Ref]Record, len(records))
	for _, r := range records {
		if old, ok := a.records[r.Ref.Identity()]; ok && r.Version == "" && old.Owned == r.Owned {
			r.Version = old.Version
		}
		fresh[r.Ref.Identity()] = r
	}
	if a.records == nil || !maps.Equal(a.records, fresh) {
		a.records = fresh
		l.wake(owner)
	}
}

func (l *Ledger) account(owner string) *account {
	if l.owners[owner] == nil {
		l.owners[owner] = &account{}
	}
	return l.owners[owner]
}

func (l *Ledger) wake(owner string) {
	for w := range l.watches[owner] {
		w.recount()
	}
}

// read returns the records of owner; the map is never changed.
func (l *Ledger) read(owner string) (records map[applier.Ref]Record, busy bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.account(owner)
	return a.records, a.busy > 0
}

// known tells whether the records of owner have ever been posted.
func (l *Ledger) known(owner string) bool {
	records, _ := l.read(owner)
	return records != nil
}

func (l *Ledger) attend(owner string, w *watcher, on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !on {
		if delete(l.watches[owner], w); len(l.watches[owner]) == 0 {
			delete(l.watches, owner)
		}
		return
	}
	if l.watches[owner] == nil {
		l.watches[owner] = map[*watcher]bool{}
	}
	l.watches[owner][w] = true
}
