package jobs

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/core/images/update"
	"github.com/sluice-gitops/sluice/core/refusal"
	"github.com/sluice-gitops/sluice/core/state"
	"github.com/sluice-gitops/sluice/core/words"
	"github.com/sluice-gitops/sluice/core/writeback"
)

// jobRecords are the jobs that people have asked for.
const jobRecords state.Kind[Stored] = "job"

// jobsKept is how many jobs that are over are remembered.
const jobsKept = 100

// Stored is a job with what it needs to go on after a restart. It becomes a
// plan, which is kept with it, and then changes of the commit queue; these end
// each with an outcome.
type Stored struct {
	Job
	Seq     uint64             `json:"seq"` // in the order of arrival, which clocks may not tell
	Release *ReleaseRequest    `json:"release,omitempty"`
	Policy  *PolicyRequest     `json:"policy,omitempty"`
	Changes []writeback.Change `json:"changes,omitempty"` // of the plan
	Open    []string           `json:"open,omitempty"`    // ids of changes without an outcome
	Failed  bool               `json:"failed,omitempty"`  // an edit was not written
}

// Book holds the jobs. Its methods are safe for concurrent use.
type Book struct {
	store *state.Store

	mu      sync.Mutex
	seq     uint64 // of the newest job
	jobs    map[string]Stored
	at      map[string]string // by id, what a job that is planned is doing
	changed chan struct{}     // closed and replaced when a job changes
}

func Open(store *state.Store) (*Book, error) {
	b := &Book{store: store, jobs: map[string]Stored{}, at: map[string]string{}, changed: make(chan struct{})}
	ids, err := jobRecords.IDs(store)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		j, _, err := jobRecords.Get(store, id)
		if err != nil {
			return nil, err
		}
		b.jobs[id], b.seq = j, max(b.seq, j.Seq)
	}
	return b, nil
}

// Put writes a job, which may be new; it is on disk when put returns. The oldest of too many that
// are over are forgotten.
func (b *Book) Put(j Stored) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if j.Seq == 0 {
		b.seq++
		j.Seq = b.seq
	}
	return b.write(j)
}

// Change has do change a job, unless it reports that there is nothing to
// change, and writes it.
func (b *Book) Change(id string, do func(j *Stored) bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	j, ok := b.jobs[id]
	if !ok || !do(&j) {
		return nil
	}
	return b.write(j)
}

// write puts a job on disk and then in its place. b.mu is held.
func (b *Book) write(j Stored) error {
	changes := []state.Change{jobRecords.Change(j.ID, j)}
	for _, old := range b.surplus(j) {
		changes = append(changes, jobRecords.Removal(old))
		defer delete(b.jobs, old)
	}
	if err := b.store.Write(changes); err != nil {
		return err
	}
	b.jobs[j.ID] = j
	close(b.changed)
	b.changed = make(chan struct{})
	return nil
}

// surplus are the jobs to be forgotten when there is j. b.mu is held.
func (b *Book) surplus(j Stored) []string {
	var over []Stored
	for id, other := range b.jobs {
		if other.Ended() && id != j.ID {
			over = append(over, other)
		}
	}
	slices.SortFunc(over, newestFirst)
	var ids []string
	for _, old := range over[min(len(over), jobsKept):] {
		ids = append(ids, old.ID)
	}
	return ids
}

func newestFirst(a, b Stored) int {
	return cmp.Or(cmp.Compare(b.Seq, a.Seq), b.Created.Compare(a.Created))
}

// Get returns a job, and a channel that is closed when one changes.
func (b *Book) Get(id string) (j Stored, changed <-chan struct{}, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	j, ok = b.jobs[id]
	return j, b.changed, ok
}

// Resolve returns the id of the job whose id begins with prefix, in any case.
func (b *Book) Resolve(prefix string) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.jobs[prefix]; ok {
		return prefix, nil
	}
	var found []string
	for id := range b.jobs {
		if prefix != "" && len(id) > len(prefix) && strings.EqualFold(id[:len(prefix)], prefix) {
			found = append(found, id)
		}
	}
	slices.Sort(found)
	switch len(found) {
	case 0:
		return "", None(prefix)
	case 1:
		return found[0], nil
	}
	return "", refusal.Invalid("%d jobs begin with %q: %s", len(found), prefix, strings.Join(found, ", "))
}

// Doing notes what a job that is planned is at, "" when it is not any more. It
// is only for people to see.
func (b *Book) Doing(id, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.at, id)
	if id != "" && text != "" {
		b.at[id] = text
	}
}

// Does tells what Doing has noted.
func (b *Book) Does(id string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at[id]
}

// All returns the jobs, the newest first.
func (b *Book) All() []Stored {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.SortedFunc(maps.Values(b.jobs), newestFirst)
}

// Note takes over the outcome of a change. It reports whether it is news. What
// others may read is not changed, but replaced.
func (j *Stored) Note(c writeback.Change, o writeback.Outcome) bool {
	i := slices.Index(j.Open, c.ID)
	if i < 0 {
		return false
	}
	j.Open = slices.Delete(slices.Clone(j.Open), i, i+1)
	j.Results = slices.Clone(j.Results)
	j.Error = cmp.Or(j.take(c, o), j.Error)
	if o.Revision.ID != "" && !o.Unchanged {
		j.Commits = withCommit(j.Commits, c, o.Revision.ID)
	}
	if len(j.Open) == 0 {
		j.Finish(nil)
		if len(j.Commits) == 0 && j.Failed {
			j.State = Failed
		}
	}
	return true
}

// take puts the errors of a change into the results of the job, and returns one
// that tells about all.
func (j *Stored) take(c writeback.Change, o writeback.Outcome) string {
	failed := 0
	first := o.Err
	for i, ed := range c.Edits {
		if o.Wrote(i) {
			continue
		}
		text := o.WhyNot(i)
		failed++
		j.Failed = true
		first = cmp.Or(first, text)
		for k, r := range j.Results {
			if r.ID == ed.Workload && r.Sync == c.Sync {
				j.Results[k].Status, j.Results[k].Reason = update.Failed, text
			}
		}
	}
	if failed > 1 && o.Err == "" {
		return fmt.Sprintf("%d changes were not written, the first: %s", failed, first)
	}
	return first
}

// withCommit adds the revision that holds a change to commits.
func withCommit(commits []Commit, c writeback.Change, revision string) []Commit {
	commits = slices.Clone(commits)
	for i, known := range commits {
		if known.Source == c.Source && known.Branch == c.Branch && known.Revision == revision {
			commits[i].Syncs = append(slices.Clone(known.Syncs), c.Sync)
			return commits
		}
	}
	return append(commits, Commit{Source: c.Source, Revision: revision, Branch: c.Branch, Syncs: []string{c.Sync}})
}

// None says that there is no job with the id.
func None(id string) error {
	return refusal.NotFound("there is no job %q, or none any more", id)
}

// Finish ends a job. One that has done nothing of what it was asked for by name
// has failed.
func (j *Stored) Finish(err error) {
	j.State, j.Finished, j.Changes, j.Open = Succeeded, time.Now().UTC().Truncate(time.Millisecond), nil, nil
	switch {
	case err != nil:
		j.State, j.Error = Failed, words.OneLine(err)
	case len(j.Commits) == 0 && j.Missed() != "" && !j.changes():
		j.State = Failed
	}
}

// changes reports whether something comes of the job.
func (j *Stored) changes() bool {
	return slices.ContainsFunc(j.Results, func(r update.Result) bool { return r.Status == update.Success })
}
