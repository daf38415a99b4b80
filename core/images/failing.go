package images

import (
	"slices"
	"strings"
)

// lasting is how many scans in a row fail before it is more than a hiccup.
const lasting = 2

// Failing tells of the repositories of targets whose scans have failed more than
// once in a row, in the order of names.
func (s *Scanner) Failing(targets []Target) []RepositoryStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	var failing []RepositoryStatus
	told := map[*repository]bool{}
	for _, wanted := range subjects(targets) {
		sub := s.subjects[wanted.id]
		if sub == nil || sub.repo == nil || told[sub.repo] || sub.repo.note.Failures < lasting || sub.repo.note.Failing.IsZero() {
			continue
		}
		told[sub.repo] = true
		failing = append(failing, s.status(sub.repo))
	}
	slices.SortFunc(failing, func(a, b RepositoryStatus) int { return strings.Compare(a.Repository, b.Repository) })
	return failing
}
